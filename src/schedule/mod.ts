export { parseDuration, type CalendarDuration } from './duration.ts'
export {
  applyRetention, CALENDAR_RULES, hasRules, type CalendarRule, type DatedItem, type ItemFate,
  type KeepReason, type RetentionRules,
} from './retention.ts'
