export { openPointRepository, SAMPLE_MACHINE, sampleSeal, storePoint } from './stored-point.ts'
