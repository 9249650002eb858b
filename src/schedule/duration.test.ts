import assert from 'node:assert/strict'
import { test } from 'node:test'
import { before, parseDuration } from './duration.ts'

test('lengths of time are read as restic takes them', () => {
  for (const [text, years, months, days, hours] of [
    ['1y6m', 1, 6, 0, 0], ['30d', 0, 0, 30, 0], ['12h', 0, 0, 0, 12], ['2d1y', 1, 0, 2, 0],
    ['2y5m7d3h', 2, 5, 7, 3], ['0y1d', 0, 0, 1, 0],
  ] as const) assert.deepEqual(parseDuration(text), { years, months, days, hours }, text)
  for (const bad of ['', '5', 'd', '1w', '1d 2h', '-1d', '1d1d', '0d', '1.5d', '1000000y', '1D']) {
    assert.throws(() => parseDuration(bad), { code: 'usage' }, bad)
  }
})

test('an earlier instant is found in the calendar', () => {
  for (const [from, length, to] of [
    ['2026-11-24T10:00:00Z', '1d', '2026-11-23T10:00:00Z'],
    ['2026-11-24T10:00:00Z', '30h', '2026-11-23T04:00:00Z'],
    ['2026-01-24T10:00:00Z', '1m', '2025-12-24T10:00:00Z'],
    ['2026-01-24T10:00:00Z', '25m', '2023-12-24T10:00:00Z'],
    ['2024-02-29T10:00:00Z', '1y', '2023-03-01T10:00:00Z'],
    ['2026-03-31T10:00:00Z', '1m', '2026-03-03T10:00:00Z'],
    ['2026-11-24T10:00:00Z', '1y2m3d4h', '2025-09-21T06:00:00Z'],
  ] as const) {
    assert.equal(new Date(before(Date.parse(from), parseDuration(length))).toISOString(),
      to.replace('Z', '.000Z'), `${from} less ${length}`)
  }
})
