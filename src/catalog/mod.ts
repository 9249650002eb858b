export { bestGradeSoFar, findListedPoint, findPoint } from './find-point.ts'
export {
  chainLinks, readCatalog, readRestorePoints, type Catalog, type ChainOf,
} from './catalog.ts'
export { planForget } from './forget-plan.ts'
export type { ForgetDecision, ForgetPlan, ForgetRequest, PlannedPoint } from './forget-plan.ts'
export { carryOutForget } from './forget.ts'
export {
  gradeTag, POINT, RECORD_FILE, RECORD_TAG, recordedPoint, recordPlace, STILLPOINT_TAG,
} from './layout.ts'
export type { GuestAccess } from './guest-access.ts'
export { encodeStoredMachine, parseStoredMachine, PART_NAME } from './machine.ts'
export type {
  DiskCut, MachineDescription, MachineDisk, MachineNic, PlatformDocument, StoredMachine,
} from './machine.ts'
export type { MachineInMaking, MachineSummary, Platform } from './platform.ts'
export {
  isForeign, NO_PINS, subjectsOf, type Pins, type SealedEvidence, type SealedParts,
} from './point-seal.ts'
export { storeRecord, type PointRecord } from './records.ts'
export { readDocument } from './restore-point.ts'
export type { DamagedPoint, ListedPoint, PointDisk, RestorePoint } from './restore-point.ts'
export { isSinceDoubted, latestVerdict } from './verdicts.ts'
export type { Undertaker } from './tombstones.ts'
export {
  gapWords, VERIFY_CODES, verifyGone, verifyPoint, type Verification, type VerifyCode,
  type VerifyFinding,
} from './verify-point.ts'
