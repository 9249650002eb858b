/** Which of many dated things to keep (as `restic forget`, "Removing snapshots by policy"). */

import {
  dayOfCivil, digits, isoWeek, wallClock, type WallTime,
} from './calendar.ts'
import { before, type CalendarDuration } from './duration.ts'

/** Rules by the calendar, from short to long. */
export const CALENDAR_RULES = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const
export type CalendarRule = (typeof CALENDAR_RULES)[number]

/** An item that any rule keeps is kept. Counts are 1 or more; `Infinity` keeps all slots. */
export interface RetentionRules {
  /** The newest so many. */
  readonly last?: number
  /** The newest of each of the newest so many hours, days … that have any. */
  readonly counts?: Readonly<Partial<Record<CalendarRule, number>>>
  /** All that are less than so long older than the newest. */
  readonly within?: CalendarDuration
  /** The newest of each hour, day … of those that are less than so long older than the newest. */
  readonly eachWithin?: Readonly<Partial<Record<CalendarRule, CalendarDuration>>>
  /** All that have every tag of one of these lists. */
  readonly tags?: readonly (readonly string[])[]
}

export interface DatedItem {
  /** Milliseconds since 1970. */
  readonly timeMs: number
  readonly tags: readonly string[]
}

/** Why an item is kept. */
export interface KeepReason {
  readonly rule: 'last' | 'within' | 'tag' | CalendarRule | `within-${CalendarRule}`
  /** What it stands for there: `2026-11-24`, `2026-W48`, the tag; the number for `last`. */
  readonly slot: string
  /** The slot has its item already; this one is the oldest, and the rule's count not used up. */
  readonly isOldest: boolean
}

export interface ItemFate<T> {
  readonly item: T
  /** Empty: forget it. */
  readonly reasons: readonly KeepReason[]
}

/** True if there is any rule; without one everything would be forgotten. */
export function hasRules(rules: RetentionRules): boolean {
  const { last, counts = {}, within, eachWithin = {}, tags = [] } = rules
  return last !== undefined || within !== undefined || tags.length > 0 ||
    [...Object.values(counts), ...Object.values(eachWithin)].length > 0
}

/**
 * The fate of each item, newest first. Slots are those of the calendar in `zone`, an IANA name;
 * weeks begin on Mondays. "The newest" that lengths of time count from is the newest that does not
 * lie after `nowMs`: a clock that ran ahead once shall not push others out.
 */
export function applyRetention<T extends DatedItem>(
  items: readonly T[], rules: RetentionRules, zone: string, nowMs: number,
): readonly ItemFate<T>[] {
  const newestFirst = items.toSorted((a, b) => b.timeMs - a.timeMs)
  const newest = newestFirst.find(({ timeMs }) => timeMs <= nowMs) ?? newestFirst.at(-1)
  if (newest === undefined) return []
  const slots = slotRules(rules, newest.timeMs)
  const read = wallClock(zone)
  return newestFirst.map((item, at) => {
    const isOldest = at === newestFirst.length - 1
    const wall = read(item.timeMs)
    return { item, reasons: [
      ...tagReasons(item, rules),
      ...withinReasons(item, rules, newest.timeMs),
      ...slots.flatMap((slot) => slot.keep(item, wall, isOldest)),
    ] }
  })
}

function tagReasons({ tags }: DatedItem, rules: RetentionRules): readonly KeepReason[] {
  return (rules.tags ?? [])
    .filter((wanted) => wanted.every((tag) => tags.includes(tag)))
    .map((wanted) => ({ rule: 'tag', slot: wanted.join(','), isOldest: false }))
}

function withinReasons(
  { timeMs }: DatedItem, { within }: RetentionRules, newestMs: number): readonly KeepReason[] {
  if (within === undefined || timeMs <= before(newestMs, within)) return []
  return [{ rule: 'within', slot: '', isOldest: false }]
}

/** A rule that keeps the first item of each slot. Items come newest first. */
interface SlotRule {
  keep(item: DatedItem, wall: WallTime, isOldest: boolean): readonly KeepReason[]
}

function slotRules(rules: RetentionRules, newestMs: number): readonly SlotRule[] {
  const { last, counts = {}, eachWithin = {} } = rules
  const found: SlotRule[] = []
  if (last !== undefined) found.push(lastRule(last))
  for (const rule of CALENDAR_RULES) {
    const count = counts[rule]
    if (count !== undefined) found.push(slotRule(rule, SLOTS[rule], count, -Infinity))
    const within = eachWithin[rule]
    if (within !== undefined) {
      const afterMs = before(newestMs, within)
      found.push(slotRule(`within-${rule}`, SLOTS[rule], Infinity, afterMs))
    }
  }
  return found
}

function lastRule(count: number): SlotRule {
  let kept = 0
  return {
    keep: () => {
      if (kept >= count) return []
      kept++
      return [{ rule: 'last', slot: String(kept), isOldest: false }]
    },
  }
}

function slotRule(
  rule: KeepReason['rule'], slotOf: (wall: WallTime) => string, count: number, afterMs: number,
): SlotRule {
  let left = count
  let previous: string | undefined
  return {
    keep: ({ timeMs }, wall, isOldest) => {
      if (left <= 0 || timeMs <= afterMs) return []
      const slot = slotOf(wall)
      const isNew = slot !== previous
      // As restic: the oldest too while the count lasts, so that history reaches as far as it can.
      if (!isNew && !isOldest) return []
      previous = slot
      left--
      return [{ rule, slot, isOldest: !isNew }]
    },
  }
}

const date = ({ year, month, day }: WallTime): string =>
  `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}`

const SLOTS: Readonly<Record<CalendarRule, (wall: WallTime) => string>> = {
  // With the offset, because one hour of autumn comes twice.
  hourly: (wall) => `${date(wall)} ${digits(wall.hour, 2)}h ${wall.offset}`,
  daily: date,
  weekly: ({ year, month, day }) => isoWeek(dayOfCivil(year, month, day)),
  monthly: ({ year, month }) => `${digits(year, 4)}-${digits(month, 2)}`,
  yearly: ({ year }) => digits(year, 4),
}
