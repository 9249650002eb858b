export { auditMachine, type MachineAudit } from './audit-machine.ts'
export { backupMachine, type MachineBackup } from './backup-machine.ts'
export {
  checkRepositoryAt, type CheckedRepository, type CheckRequest,
} from './check-repository.ts'
export { DEFAULT_LIMITS, NO_CONFIG, parseConfig, type Config } from './config.ts'
export { loadConfig, type ConfigPlaces } from './config-file.ts'
export type { AskPassword, EngineContext, RepositoryOptions } from './context.ts'
export { diagnoseMachine, type Diagnosis, type MachineDiagnosis } from './diagnose-machine.ts'
export {
  guestAgentStatus, installGuestAgent, uninstallGuestAgent, type AgentOutcome,
} from './guest-agent.ts'
export type { MachineChoice } from './find-machine.ts'
export type { FoundSigner } from './evidence-key.ts'
export {
  forgetPoints, pruneRepositoryAt, type ForgottenPoints, type PointForget, type PruneRequest,
} from './forget-points.ts'
export { checkLeaveOut } from '../providers/mod.ts'
export { openKeyFile, type KeyFile } from './key-file.ts'
export { initRepositoryAt, type CreatedRepository } from './init-repository.ts'
export { listMachines, type PlatformListing } from './list-machines.ts'
export { listWriters } from './list-writers.ts'
export { listPoints, showPoint, type PointListing, type ShownPoint } from './list-points.ts'
export { provePoints, type Proved, type ProvedPoint, type ProveRequest } from './prove-points.ts'
export { parsePlatform, systemRegistry, type PlatformTarget, type Registry } from './registry.ts'
export { recoverMachine, type Recovery } from './recover-machine.ts'
export { verifyPointAt, type VerifiedPoint, type VerifyRequest } from './verify-point.ts'
export { unlockRepository } from './unlock-repository.ts'
export {
  fetchPointFile, listPointFiles, listPointVolumes, type FetchedFile, type FileFetch,
  type PointFilesRequest,
} from './point-files.ts'
export { restoreMachine, type MachineRestore, type MadeMachine } from './restore-machine.ts'
export { restorePoint, type PointRestore, type RestoredPoint } from './restore-point.ts'
