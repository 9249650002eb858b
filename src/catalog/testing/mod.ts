export { openPointRepository, SAMPLE_MACHINE, storePoint, type PointParts } from './stored-point.ts'
