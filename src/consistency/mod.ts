export type { Coverage, DiskLeftOut, LeftOutReason } from './coverage.ts'
export type {
  FileSystemFreezer, FreezeAttempt, FreezeLimits, GuestFileSystem, ThawOutcome,
} from './freezer.ts'
export type {
  CommittedSet, FreezerMissing, PlatformHeldSet, PlatformQuiesce, PowerState, PreparedSet,
  PrepareRequest, Provider, RequestorHeldSet, SetDisk,
} from './provider.ts'
