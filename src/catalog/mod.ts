export { bestGradeSoFar, findListedPoint, findPoint } from './find-point.ts'
export { chainLinks, readCatalog, readRestorePoints, type Catalog } from './catalog.ts'
export { planForget } from './forget-plan.ts'
export type { ForgetDecision, ForgetPlan, ForgetRequest, PlannedPoint } from './forget-plan.ts'
export { carryOutForget } from './forget.ts'
export { gradeTag, POINT, recordPlace, STILLPOINT_TAG } from './layout.ts'
export type { GuestAccess } from './guest-access.ts'
export { encodeStoredMachine, parseStoredMachine } from './machine.ts'
export type {
  MachineDescription, MachineDisk, MachineNic, PlatformDocument, StoredMachine,
} from './machine.ts'
export type { MachineInMaking, MachineSummary, Platform } from './platform.ts'
export { isForeign, NO_PINS, subjectsOf, type Pins, type SealedEvidence } from './point-seal.ts'
export { storeRecord } from './records.ts'
export { readDocument } from './restore-point.ts'
export type { ListedPoint, PointDisk, RestorePoint } from './restore-point.ts'
export { isSinceDoubted, latestVerdict } from './verdicts.ts'
export {
  gapWords, verifyGone, verifyPoint, type Verification, type VerifyCode,
} from './verify-point.ts'
