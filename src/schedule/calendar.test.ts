import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { civilOfDay, DAY_MS, dayOfCivil, isoWeek, wallClock } from './calendar.ts'

const dayOf = (text: string): number => Date.parse(`${text}T00:00:00Z`) / DAY_MS

test('days and dates are those of the Gregorian calendar', () => {
  fc.assert(fc.property(fc.integer({ min: -700_000, max: 2_900_000 }), (day) => {
    const { year, month, day: dayOfMonth } = civilOfDay(day)
    const date = new Date(day * DAY_MS)
    assert.deepEqual([year, month, dayOfMonth],
      [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()])
    assert.equal(dayOfCivil(year, month, dayOfMonth), day)
  }))
})

test('weeks are those of ISO 8601', () => {
  for (const [date, week] of [
    ['2026-11-24', '2026-W48'], ['2026-11-22', '2026-W47'], ['2026-11-23', '2026-W48'],
    ['2020-12-31', '2020-W53'], ['2021-01-03', '2020-W53'], ['2021-01-04', '2021-W01'],
    ['2024-12-30', '2025-W01'], ['2027-01-01', '2026-W53'], ['1970-01-01', '1970-W01'],
    ['1969-12-28', '1969-W52'], ['1969-12-29', '1970-W01'],
  ] as const) assert.equal(isoWeek(dayOf(date)), week, date)
})

test('a zone shows its own date and hour, and tells the hour that comes twice', () => {
  const berlin = wallClock('Europe/Berlin')
  const read = (text: string): string => {
    const { year, month, day, hour, offset } = berlin(Date.parse(text))
    return `${year}-${month}-${day} ${hour} ${offset}`
  }
  assert.equal(read('2026-11-23T23:30:00Z'), '2026-11-24 0 +01:00')
  assert.equal(read('2026-10-25T00:30:00Z'), '2026-10-25 2 +02:00')
  assert.equal(read('2026-10-25T01:30:00Z'), '2026-10-25 2 +01:00')
  assert.equal(wallClock('UTC')(0).offset, '+00:00')
  assert.throws(() => wallClock('Mars/Olympus'), RangeError)
})
