export { checkInside, type BlockSink, type BlockSource } from './block-source.ts'
export {
  alignOutward, alignedOutward, between, clip, complement, endOf, intersect, normalise, subtract,
  totalLength, union, type Extent, type ExtentKind, type Range,
} from './extents.ts'
export { NBD_LIMITS, type NbdLimits } from './nbd/limits.ts'
export { NbdError, nbdErrorOf } from './nbd/nbd-error.ts'
export { connectNbd, type NbdSource, type NbdTarget } from './nbd/nbd-source.ts'
export { probeDisk } from './probe/probe-disk.ts'
export type { DiskProbe, ProbedVolume, Recognised, VolumeActivity, VolumeKind } from './probe/volume.ts'
export { createRawSink, openRawSource } from './raw-file.ts'
