export { bestGradeSoFar, findPoint } from './find-point.ts'
export { gradeTag, POINT, STILLPOINT_TAG } from './layout.ts'
export { encodeStoredMachine, parseStoredMachine, PART_NAME } from './machine.ts'
export type {
  DiskCut, MachineDescription, MachineDisk, MachineNic, PlatformDocument, StoredMachine,
} from './machine.ts'
export type { MachineSummary, Platform } from './platform.ts'
export { readDocument, readRestorePoints } from './restore-point.ts'
export type { DamagedPoint, ListedPoint, PointDisk, RestorePoint } from './restore-point.ts'
