export { isNamed, type EventQuery, type EventRecord } from './event-record.ts'
export { readEventLog, type EventLogReading } from './read-event-log.ts'
