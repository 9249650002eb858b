/** The Gregorian calendar in whole numbers, and the calendar of a time zone. */

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

export interface Civil {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  /** 1 to 31. */
  readonly day: number
}

/** Days from 1970-01-01 to the first of a month. */
export function dayOfCivil(year: number, month: number, day = 1): number {
  // Years begin in March, so that the leap day comes last.
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  const yearOfEra = y - era * 400
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) -
    Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

/** The date that lies `day` days after 1970-01-01. */
export function civilOfDay(day: number): Civil {
  const z = day + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra = Math.floor((dayOfEra - Math.floor(dayOfEra / 1460) +
    Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365)
  const dayOfYear = dayOfEra -
    (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const m = Math.floor((5 * dayOfYear + 2) / 153)
  const month = m < 10 ? m + 3 : m - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month,
    day: dayOfYear - Math.floor((153 * m + 2) / 5) + 1,
  }
}

/** The week of ISO 8601 that `day` is in, as `2026-W48`: weeks begin on Mondays. */
export function isoWeek(day: number): string {
  // The week belongs to the year that its Thursday is in.
  const thursday = day - (((day + 3) % 7) + 7) % 7 + 3
  const { year } = civilOfDay(thursday)
  const week = Math.floor((thursday - dayOfCivil(year, 1)) / 7) + 1
  return `${digits(year, 4)}-W${digits(week, 2)}`
}

export function digits(value: number, count: number): string {
  return String(value).padStart(count, '0')
}

/** What a clock on the wall shows in a zone. */
export interface WallTime extends Civil {
  readonly hour: number
  /** How far the zone is ahead of UTC, as `+01:00`: tells the hour that comes twice. */
  readonly offset: string
}

/**
 * Reads instants (milliseconds since 1970) in the time zone `zone`, an IANA name as `Europe/Berlin`
 * or `UTC`. Throws a RangeError for a zone that is not known.
 */
export function wallClock(zone: string): (timeMs: number) => WallTime {
  const format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric',
    hour: 'numeric', timeZoneName: 'longOffset', era: 'short',
  })
  return (timeMs) => {
    const parts = new Map(format.formatToParts(timeMs).map(({ type, value }) => [type, value]))
    const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type))
    return {
      year: parts.get('era') === 'BC' ? 1 - number('year') : number('year'),
      month: number('month'), day: number('day'), hour: number('hour'),
      offset: (parts.get('timeZoneName') ?? '').replace('GMT', '') || '+00:00',
    }
  }
}
