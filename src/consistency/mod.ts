export type { ApplicationHost, ApplicationHostMissing } from './application-host.ts'
export { checkFileSystems } from './check-image.ts'
export { FULL_REASONS } from './change-tracking.ts'
export type {
  DiskBase, FullReason, SetTracking, TrackingRequest,
} from './change-tracking.ts'
export { holdAndCommit, type HoldOutcome } from './coordinator.ts'
export type { CoverageResult, DiskLeftOut, LeftOutReason } from './coverage.ts'
export { decodeEvidence, encodeEvidence, EVIDENCE_MAX, parseEvidence } from './evidence-codec.ts'
export { heldMs, stalledMs } from './evidence.ts'
export type {
  ApplicationData, ApplicationEvidence, ApplicationsEvidence, Durability, Evidence, FileSystemList,
  FilesAsZeros, HoldEvidence, LogPositions, PowerState, QuiesceDocument, VolumeEvidence,
  ReadingEvidence, RequestorHold, VolumeSign, WriterEvidence, WriterHold,
} from './evidence.ts'
export type {
  FindData, FoundData, PlacesToLookAt, RunningService, UnheldApplication,
} from './found-data.ts'
export {
  hookedEvidence, type FreezeHooks, type HookedApplication, type HookReport,
} from './freeze-hooks.ts'
export type {
  FileSystemFreezer, FreezeAttempt, FreezeLimits, FreezerMissing, GuestFileSystem, ThawOutcome,
} from './freezer.ts'
export type { GuestExit, GuestPrograms } from './guest-programs.ts'
export { cappedBy, gradeOf, outlookOf, type GradeResult } from './grade.ts'
export type { ApplicationGrade } from './grade-applications.ts'
export type { FileSystemClass } from './grade-file-systems.ts'
export { GRADES, isWeaker, type Grade } from './grade-scale.ts'
export type { HoldEvent } from './hold-step.ts'
export { checkLogs, type LogRemark } from './logs/check-logs.ts'
export { LOG_SOURCES, SHUTDOWN_NOTE } from './logs/log-meanings.ts'
export type { ImageLogs } from './logs/records-around.ts'
export { locateData } from './locate-data.ts'
export { mountedVolumes, type MountedVolume } from './mounted-volumes.ts'
export { judge, resolvePolicy } from './policy.ts'
export type { Judgement, Policy, PolicySettings } from './policy.ts'
export { idealWriter, predictGrade } from './predict.ts'
export type { ListedComponent, ListedWriter, WriterList } from './vss-writer-list.ts'
export type {
  CommittedSet, Freezing, PlatformHeldSet, PlatformQuiesce, PreparedSet, PrepareRequest, Provider,
  ProviderSurvey, QuiescedSet, QuiesceLevel, QuiesceWish, RequestorHeldSet, SetDisk,
  StatedApplications, StatedWriter, SurveyRemark,
} from './provider.ts'
export { probeSet, type SetProbe } from './probe-set.ts'
export { capOf, reason, REASONS, type GradeReason, type ReasonCode } from './reasons.ts'
export {
  isTrackingDoubted, trackingCheck, TRACKING_CHECK, type TrackingFinding,
} from './tracking-check.ts'
export { claimsOf, verdictOf, type Check, type Claim, type Verdict } from './verdict.ts'
export type {
  DataPlace, DataPlaces, DiscoveredApplication, PreparedWriter, Writer, WriterAttempt,
  WriterLimits, WriterStatement, WriterThawOutcome,
} from './writer.ts'
export {
  followChain, isWhole, nextPlace, type ChainLink, type ChainReport, type Gap,
} from './signed/chain.ts'
export { MAX_ENVELOPE_BYTES } from './signed/envelope.ts'
export {
  newSigningKey, parseFingerprint, parseSigningKey, MAX_KEY_FILE_BYTES, type Fingerprint,
  type Signer,
} from './signed/signing-key.ts'
export {
  MAX_TOMBSTONES, type ChainPlace, type CompletionStatement, type Digest, type PointStatement,
  type SignedStatement, type Subject, type RecordStatement, type ToldApplication, type Tombstone,
  type TombstonesStatement, type VerdictStatement,
} from './signed/statement.ts'
export { readStatement, signStatement } from './signed/statement-codec.ts'
