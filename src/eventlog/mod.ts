export {
  isNamed, type EventQuery, type EventRecord, type EventValue,
} from './event-record.ts'
export { readEventLog, type EventLogReading, type LogBytes } from './read-event-log.ts'
