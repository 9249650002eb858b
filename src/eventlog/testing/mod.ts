export { BACKUP_STORY, sqlServerBackup } from './backup-story.ts'
export { doublingTemplates, endlessTemplate, repeatedText } from './trap-log.ts'
export { logBytes } from './log-bytes.ts'
export { eventLogBytes, type WrittenEvent } from './write-event-log.ts'
