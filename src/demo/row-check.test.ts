import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { checkRows } from './row-check.ts'
import { WitnessLog } from './witness.ts'

/** A guest that acknowledged row n of both tables at n seconds, up to 100. */
function witnessOfHundredRows(): WitnessLog {
  const clock = new ManualClock()
  const witness = new WitnessLog(clock)
  for (let id = 1; id <= 100; id++) {
    clock.advance(1000)
    witness.feed(`ack rows ${id}\nack canary ${id}\n`)
  }
  return witness
}

const startMs = new ManualClock().nowMs()
/** Captured when row 50 had just been acknowledged. */
const captured = { startMs: startMs + 50_500, endMs: startMs + 50_600 }
const good = [
  'disk disk0 ext4 mounted recovered=no', 'disk disk1 ext4 mounted recovered=no',
  'table rows 51 51 ok', 'table canary 50 50 ok',
]
const witness = witnessOfHundredRows()

function brokenClaims(report: readonly string[], claimsFrozen = true): readonly string[] {
  const restored = new WitnessLog(new ManualClock())
  restored.feed(report.map((line) => `${line}\n`).join(''))
  const tables = ['rows', 'canary'] as const
  return checkRows(restored.boot, { tables, witness, captured, claimsFrozen })
    .filter(({ holds }) => !holds).map(({ claim }) => claim)
}

function changed(from: string, to: string): readonly string[] {
  return good.map((line) => (line === from ? to : line))
}

test('a restored guest with every acknowledged row passes', () => {
  assert.deepEqual(brokenClaims(good), [])
})

const wrong: readonly (readonly [what: string, report: readonly string[], claim: RegExp])[] = [
  ['the last acknowledged row is missing', changed('table rows 51 51 ok', 'table rows 49 49 ok'),
    /rows: no row acknowledged .* missing/],
  ['a row in the middle is missing', changed('table rows 51 51 ok', 'table rows 51 50 ok'),
    /rows: no row acknowledged .* missing/],
  ['the disk is a stale one', changed('table rows 51 51 ok', 'table rows 0 0 ok'),
    /rows: no row acknowledged .* missing/],
  ['the disk is newer than the instant', changed('table rows 51 51 ok', 'table rows 90 90 ok'),
    /rows: no row is from after/],
  ['a table is missing', good.slice(0, 3), /canary: it is there/],
  ['the database is damaged', changed('table rows 51 51 ok', 'table rows 51 51 row 3 missing'),
    /rows: the database finds it intact/],
  ['the second disk is ahead', changed('table canary 50 50 ok', 'table canary 52 52 ok'),
    /same instant/],
  ['the second disk is behind', changed('table canary 50 50 ok', 'table canary 48 48 ok'),
    /same instant/],
  ['a file system had to recover', changed(good[0] ?? '', 'disk disk0 ext4 mounted recovered=yes'),
    /No file system had to recover/],
  ['a disk cannot be mounted', changed(good[1] ?? '', 'disk disk1 ext4 unmounted recovered=no'),
    /has its file system/],
  ['nothing was reported', [], /has its file system/],
]
for (const [what, report, claim] of wrong) {
  test(`the check fails when ${what}`, () => {
    assert.ok(brokenClaims(report).some((broken) => claim.test(broken)))
  })
}

test('a crash grade may recover', () => {
  const report = changed(good[0] ?? '', 'disk disk0 ext4 mounted recovered=yes')
  assert.deepEqual(brokenClaims(report, false), [])
})

test('a capture before the first acknowledged row proves nothing', () => {
  const restored = new WitnessLog(new ManualClock())
  restored.feed(`${good.join('\n')}\n`)
  const early = { startMs: 0, endMs: 1 }
  const findings = checkRows(restored.boot, {
    tables: ['rows', 'canary'], witness, captured: early, claimsFrozen: false })
  assert.ok(findings.some(({ holds }) => !holds))
})
