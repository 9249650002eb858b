export { bestGradeSoFar, findPoint } from './find-point.ts'
export { carryOutForget, planForget, readForgettable } from './forget.ts'
export type {
  Forgettable, ForgetDecision, ForgetPlan, ForgetRequest, PlannedPoint,
} from './forget.ts'
export {
  gradeTag, POINT, RECORD_TAG, recordedPoint, recordPlace, STILLPOINT_TAG,
} from './layout.ts'
export { encodeStoredMachine, parseStoredMachine, PART_NAME } from './machine.ts'
export type {
  DiskCut, MachineDescription, MachineDisk, MachineNic, PlatformDocument, StoredMachine,
} from './machine.ts'
export type { MachineSummary, Platform } from './platform.ts'
export { readDocument, readRestorePoints } from './restore-point.ts'
export type { DamagedPoint, ListedPoint, PointDisk, RestorePoint } from './restore-point.ts'
