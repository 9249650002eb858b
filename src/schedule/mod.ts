export { parseDuration } from './duration.ts'
export {
  applyRetention, CALENDAR_RULES, hasRules, type CalendarRule, type KeepReason,
  type RetentionRules,
} from './retention.ts'
