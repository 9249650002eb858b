export {
  openPointRepository, SAMPLE_MACHINE, sampleSeal, storePoint, type PointParts,
} from './stored-point.ts'
