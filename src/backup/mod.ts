export type { BackupEvent, BackupPhase } from './backup-events.ts'
export type { BackupSummary } from './backup-summary.ts'
export { runBackup, type BackupRequest } from './run-backup.ts'
