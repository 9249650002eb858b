export {
  RoundOfApplications, type ApplicationsRequest, type InsideMachine,
} from './applications.ts'
export { auditTracking, type AuditedDisk, type TrackingAudit } from './audit-tracking.ts'
export type { BackupEvent, BackupPhase } from './backup-events.ts'
export type { BackupRequest } from './backup-request.ts'
export type { BackupSummary } from './backup-summary.ts'
export { runBackup } from './run-backup.ts'
export { withStated } from './stated-applications.ts'
