import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DAY_MS } from './calendar.ts'
import { parseDuration } from './duration.ts'
import {
  applyRetention, CALENDAR_RULES, hasRules, type DatedItem, type RetentionRules,
} from './retention.ts'

const NOW = Date.parse('2026-11-24T12:00:00Z')

const item = (time: string, ...tags: readonly string[]): DatedItem & { readonly time: string } =>
  ({ time, timeMs: Date.parse(`${time}:00Z`), tags })

const kept = (
  items: readonly DatedItem[], rules: RetentionRules, zone = 'UTC', nowMs = NOW,
): readonly string[] => applyRetention(items, rules, zone, nowMs)
  .filter(({ reasons }) => reasons.length > 0)
  .map(({ item }) => new Date(item.timeMs).toISOString().slice(0, 16))

const days = [
  '2026-11-24T09:10', '2026-11-24T09:05', '2026-11-24T08:00', '2026-11-23T23:30',
  '2026-11-22T10:00', '2026-11-16T10:00', '2026-10-31T10:00', '2026-10-01T10:00',
  '2025-12-31T10:00', '2025-01-01T10:00',
].map((time) => item(time))

test('each rule keeps the newest of each of its slots', () => {
  const table: readonly (readonly [RetentionRules, string])[] = [
    [{ last: 2 }, '2026-11-24T09:10 2026-11-24T09:05'],
    [{ counts: { hourly: 2 } }, '2026-11-24T09:10 2026-11-24T08:00'],
    [{ counts: { daily: 3 } }, '2026-11-24T09:10 2026-11-23T23:30 2026-11-22T10:00'],
    [{ counts: { weekly: 2 } }, '2026-11-24T09:10 2026-11-22T10:00'],
    [{ counts: { monthly: 2 } }, '2026-11-24T09:10 2026-10-31T10:00'],
    [{ counts: { yearly: 1 } }, '2026-11-24T09:10'],
    [{ within: parseDuration('1d') },
      '2026-11-24T09:10 2026-11-24T09:05 2026-11-24T08:00 2026-11-23T23:30'],
    [{ eachWithin: { daily: parseDuration('2d') } },
      '2026-11-24T09:10 2026-11-23T23:30 2026-11-22T10:00'],
    [{ last: 1, counts: { monthly: 3 } },
      '2026-11-24T09:10 2026-10-31T10:00 2025-12-31T10:00'],
  ]
  for (const [rules, expected] of table) {
    assert.equal(kept(days, rules).join(' '), expected, JSON.stringify(rules))
  }
})

test('while a count lasts the oldest is kept too, as by restic', () => {
  assert.deepEqual(kept(days, { counts: { yearly: 3 } }),
    ['2026-11-24T09:10', '2025-12-31T10:00', '2025-01-01T10:00'])
  const oldest = applyRetention(days, { counts: { yearly: 3 } }, 'UTC', NOW).at(-1)
  assert.deepEqual(oldest?.reasons, [{ rule: 'yearly', slot: '2025', isOldest: true }])
})

test('reasons name each rule and slot', () => {
  const [first] = applyRetention(
    [item('2026-11-24T09:10', 'gold', 'x')],
    { last: 1, within: parseDuration('1h'), tags: [['gold'], ['x', 'gold'], ['y']],
      counts: { hourly: 1, daily: 1, weekly: 1, monthly: 1, yearly: 1 } }, 'Asia/Tokyo', NOW)
  assert.deepEqual(first?.reasons.map(({ rule, slot }) => `${rule} ${slot}`), [
    'tag gold', 'tag x,gold', 'within ', 'last 1', 'hourly 2026-11-24 18h +09:00',
    'daily 2026-11-24', 'weekly 2026-W48', 'monthly 2026-11', 'yearly 2026'])
})

test('days begin at midnight of the zone', () => {
  const two = [item('2026-11-24T01:00'), item('2026-11-23T23:30')]
  assert.equal(kept(two, { counts: { daily: 1 } }, 'UTC').length, 1)
  const rules = { eachWithin: { daily: parseDuration('9d') } }
  assert.equal(kept([...two, item('2026-11-20T00:00')], rules, 'UTC').length, 3)
  assert.equal(kept([...two, item('2026-11-20T00:00')], rules, 'Europe/Berlin').length, 2)
})

test('an item from the future does not make others look old', () => {
  const items = [item('2031-01-01T00:00'), ...days]
  assert.deepEqual(kept(items, { within: parseDuration('3h') }),
    ['2031-01-01T00:00', '2026-11-24T09:10', '2026-11-24T09:05', '2026-11-24T08:00'])
})

test('no rules are told from rules that keep nothing', () => {
  assert.equal(hasRules({}), false)
  assert.equal(hasRules({ counts: {}, eachWithin: {}, tags: [] }), false)
  for (const rules of [{ last: 1 }, { counts: { daily: 1 } }, { tags: [['a']] },
    { within: parseDuration('1d') }, { eachWithin: { weekly: parseDuration('1d') } }]) {
    assert.equal(hasRules(rules), true)
  }
  assert.deepEqual(kept(days, {}), [])
})

const anyItems = fc.array(fc.record({
  timeMs: fc.integer({ min: NOW - 800 * DAY_MS, max: NOW + 2 * DAY_MS }),
  tags: fc.subarray(['a', 'b']),
}), { maxLength: 40 })
const anyCount = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(Infinity))
const anyDuration = fc.integer({ min: 1, max: 400 }).map((days) =>
  ({ years: 0, months: 0, days, hours: 0 }))
const anyRules = fc.record({
  last: anyCount,
  counts: fc.record(Object.fromEntries(
    CALENDAR_RULES.map((rule) => [rule, anyCount])), { requiredKeys: [] }),
  within: anyDuration,
  eachWithin: fc.record(Object.fromEntries(
    CALENDAR_RULES.map((rule) => [rule, anyDuration])), { requiredKeys: [] }),
  tags: fc.array(fc.subarray(['a', 'b'], { minLength: 1 }), { maxLength: 2 }),
}, { requiredKeys: [] }) as fc.Arbitrary<RetentionRules>
const anyZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Apia')

const keptItems = (
  items: readonly DatedItem[], rules: RetentionRules, zone: string): readonly DatedItem[] =>
  applyRetention(items, rules, zone, NOW)
    .filter(({ reasons }) => reasons.length > 0).map(({ item }) => item)

test('every item has one fate, newest first', () => {
  fc.assert(fc.property(anyItems, anyRules, anyZone, (items, rules, zone) => {
    const fates = applyRetention(items, rules, zone, NOW).map(({ item }) => item)
    assert.equal(new Set(fates).size, items.length)
    for (const [at, { timeMs }] of fates.entries()) {
      assert.ok(at === 0 || timeMs <= (fates[at - 1]?.timeMs ?? 0))
    }
  }))
})

test('another rule never forgets more', () => {
  fc.assert(fc.property(anyItems, anyRules, anyRules, anyZone, (items, rules, more, zone) => {
    const both = { ...more, ...rules,
      counts: { ...more.counts, ...rules.counts },
      eachWithin: { ...more.eachWithin, ...rules.eachWithin },
      tags: [...more.tags ?? [], ...rules.tags ?? []] }
    const after = new Set(keptItems(items, both, zone))
    for (const item of keptItems(items, rules, zone)) assert.ok(after.has(item))
  }))
})

test('each rule but that of tags keeps at least one', () => {
  fc.assert(fc.property(anyItems, anyRules, anyZone, (items, rules, zone) => {
    const { tags: _, ...others } = rules
    if (items.length > 0 && hasRules(others)) {
      assert.ok(keptItems(items, others, zone).length > 0)
    }
  }))
})

test('what was kept once is kept again', () => {
  fc.assert(fc.property(anyItems, anyRules, anyZone, (items, rules, zone) => {
    const once = keptItems(items, rules, zone)
    assert.deepEqual(keptItems(once, rules, zone), once)
  }), { numRuns: 500 })
})
