export type { ApplicationHost, ApplicationHostMissing } from './application-host.ts'
export { checkFileSystems } from './check-image.ts'
export { FULL_REASONS } from './change-tracking.ts'
export type {
  DiskBase, FullReason, SetTracking, TrackingRequest,
} from './change-tracking.ts'
export { holdAndCommit, type HoldOutcome, type HoldRequest } from './coordinator.ts'
export { coverageOf } from './coverage.ts'
export type { Coverage, CoverageResult, DiskLeftOut, LeftOutReason } from './coverage.ts'
export {
  decodeEvidence, encodeEvidence, EVIDENCE_MAX, MAX_EVIDENCE_BYTES, parseEvidence,
} from './evidence-codec.ts'
export { heldMs, stalledMs } from './evidence.ts'
export type {
  ApplicationData, ApplicationEvidence, ApplicationsEvidence, CoverageEvidence, DiscoveryEvidence,
  ProbeEvidence, Durability, Evidence, FileSystemEvidence, FileSystemList, FreezeEvidence,
  DiskReading, FilesAsZeros, HoldEvidence, InstantEvidence, KeptPlace, LogPositions, NoHold,
  NoHoldReason, NoWriterReason,
  PlatformHold, PolicyEvidence, PowerEvidence, PowerState, QuiesceDocument, VolumeEvidence,
  ReadingEvidence, RequestorHold, StepFault, ThawEvidence, VolumeSign, WriterEvidence,
  WriterFreezeEvidence, WriterHold, WriterThawEvidence,
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
export type { ClassifiedFileSystem, FileSystemClass } from './grade-file-systems.ts'
export { GRADES, isWeaker, weakest, type Grade } from './grade-scale.ts'
export type { HoldEvent, Note } from './hold-step.ts'
export {
  checkLogs, type LogRemark, type LogsAnswer, type LogsQuestion,
} from './logs/check-logs.ts'
export { LOG_SOURCES, SHUTDOWN_NOTE, type LogTone } from './logs/log-meanings.ts'
export type { ImageLogs } from './logs/records-around.ts'
export { locateData } from './locate-data.ts'
export { mountedVolumes, type MountedVolume } from './mounted-volumes.ts'
export { judge, resolvePolicy } from './policy.ts'
export type { Judgement, Policy, PolicySettings } from './policy.ts'
export { idealWriter, predictGrade, type Prospect } from './predict.ts'
export { brokenSession } from './vss-facts.ts'
export type { VssSessionFacts, VssWriterFacts, VssWriterState } from './vss-facts.ts'
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
  followChain, isWhole, nextPlace, type ChainLink, type ChainReport, type Gap, type LinkStanding,
} from './signed/chain.ts'
export { MAX_ENVELOPE_BYTES } from './signed/envelope.ts'
export {
  newSigningKey, parseFingerprint, parseSigningKey, MAX_KEY_FILE_BYTES, type Fingerprint,
  type PublicKey, type Signer,
} from './signed/signing-key.ts'
export {
  MAX_SEQUENCE, MAX_TOMBSTONES, type ChainPlace, type CompletionStatement, type Digest,
  type PointReference, type PointStatement, type SignedStatement, type Statement, type Subject,
  type RecordStatement, type ToldApplication, type Tombstone, type TombstonesStatement,
  type VerdictStatement,
} from './signed/statement.ts'
export { readStatement, signStatement } from './signed/statement-codec.ts'
