/** Lengths of time in years, months, days and hours, as restic's `--keep-within` takes them. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { civilOfDay, dayOfCivil, DAY_MS, HOUR_MS } from './calendar.ts'

export interface CalendarDuration {
  readonly years: number
  readonly months: number
  readonly days: number
  readonly hours: number
}

const UNITS = { y: 'years', m: 'months', d: 'days', h: 'hours' } as const

/** A length that no repository is older than; more is a slip of the finger. */
const MAX_COUNT = 100_000

/** Reads `1y6m`, `30d`, `12h`: whole numbers, each unit once, in any order. Fault: `usage`. */
export function parseDuration(text: string): CalendarDuration {
  const duration = { years: 0, months: 0, days: 0, hours: 0 }
  const parts = [...text.matchAll(/(\d+)([ymdh])/g)]
  const units = new Set(parts.map((part) => part[2]))
  const isWhole = parts.length > 0 && parts.map(([part]) => part).join('') === text
  for (const [, count, unit] of parts) {
    duration[UNITS[unit as keyof typeof UNITS]] = Number(count)
  }
  const counts = Object.values(duration)
  if (!isWhole || units.size < parts.length || counts.some((count) => count > MAX_COUNT) ||
    counts.every((count) => count === 0)) {
    throw new Fault('usage', `"${printable(text, 40)}" is not a length of time`, {
      advice: 'Give years, months, days and hours like 1y6m, 30d or 12h.' })
  }
  return duration
}

/**
 * The instant that lies `duration` before `timeMs`. Years and months count in the calendar of UTC,
 * a day that a month lacks running into the next (31 March less a month is 3 March, or 2); days are
 * 24 hours.
 */
export function before(timeMs: number, { years, months, days, hours }: CalendarDuration): number {
  const day = Math.floor(timeMs / DAY_MS)
  const civil = civilOfDay(day)
  const month = civil.year * 12 + (civil.month - 1) - years * 12 - months
  const first = dayOfCivil(Math.floor(month / 12), ((month % 12) + 12) % 12 + 1)
  return (first + civil.day - 1 - days) * DAY_MS + (timeMs - day * DAY_MS) - hours * HOUR_MS
}
