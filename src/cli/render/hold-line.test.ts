/** The time line: each thing where and as long as it was, on a terminal and on the page. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApplicationEvidence } from '../../consistency/mod.ts'
import { SAMPLE_HOLD, sampleApplication, sampleEvidence } from '../../consistency/testing/mod.ts'
import { drawTimeline, LINE_WIDTH } from './hold-line.ts'
import { holdTimeline, type TimelineRow } from './hold-timeline.ts'

function row(label: string, note: string, ...segments: TimelineRow['segments']): TimelineRow {
  return { label, note, segments }
}

test('the parts of a hold are drawn where and as long as they were', () => {
  assert.deepEqual(drawTimeline([
    row('redis', 'a', { kind: 'asking', startMs: 1000, endMs: 1050 },
      { kind: 'held', startMs: 1050, endMs: 1080 }),
    row('snapshot', '', { kind: 'snapshot', startMs: 1060, endMs: 1060 }),
    row('db', 'b', { kind: 'watched', startMs: 1080, endMs: 1100 }),
  ]), [
    `          0${' '.repeat(43)}100 ms`,
    `redis    |${'>'.repeat(25)}${'#'.repeat(15)}${' '.repeat(10)}| a`,
    `snapshot |${' '.repeat(30)}*${' '.repeat(19)}|`,
    `db       |${' '.repeat(40)}${'='.repeat(10)}| b`,
    '          > asked to hold   # held   = watched, not locked   * snapshot',
  ])
})

test('what is too short to be seen is drawn all the same, in its order', () => {
  const [, bar] = drawTimeline([
    row('x', '', { kind: 'asking', startMs: 0, endMs: 0.1 },
      { kind: 'held', startMs: 0.1, endMs: 0.2 }, { kind: 'releasing', startMs: 0.2, endMs: 0.3 }),
    row('y', '', { kind: 'snapshot', startMs: 0, endMs: 1000 }),
  ])
  assert.equal(bar, `x |>#<${' '.repeat(LINE_WIDTH - 3)}|`)
})

test('nothing of no length and nothing at all can be drawn', () => {
  assert.equal(drawTimeline([row('x', '', { kind: 'held', startMs: 5, endMs: 5 })]).length, 3)
  assert.deepEqual(drawTimeline([]), [])
})

const notesOf = (application: ApplicationEvidence): readonly string[] => holdTimeline(
  sampleEvidence({ applications: {
    declaredNone: false, discovery: { state: 'done', by: 'a test', applications: [application] },
  } })).filter(({ label }) => label === application.name).map(({ note }) => note)

test('a hold that failed, was lost or not confirmed says so', () => {
  const { writer } = sampleApplication()
  assert.ok(writer.contract === 'held')
  const fault = { code: 'writer-failed', message: 'no' }
  assert.deepEqual(notesOf(sampleApplication()), ['held 70 ms'])
  assert.deepEqual(notesOf(sampleApplication({ writer: {
    ...writer, freeze: { state: 'failed', issuedMs: 900, failedMs: 950, fault } } })),
  ['did NOT hold still'])
  assert.deepEqual(notesOf(sampleApplication({ writer: {
    ...writer, thaw: { state: 'unknown', issuedMs: 1060, detail: '' } } })),
  ['held 70 ms, its release was NOT CONFIRMED'])
  assert.deepEqual(notesOf(sampleApplication({ writer: { ...writer, thaw: {
    state: 'thawed', issuedMs: 1060, acknowledgedMs: 1061, heldThroughout: false,
    statement: 'x' } } })),
  ['held 70 ms, LOST before it was asked to go on'])
  assert.deepEqual(notesOf(sampleApplication({
    writer: { contract: 'none', reason: 'no-writer', detail: '' } })), [])
})

test('file systems whose freeze failed or that were released too early say so', () => {
  const noteOf = (hold: typeof SAMPLE_HOLD): string | undefined =>
    holdTimeline(sampleEvidence({ hold })).find(({ label }) => label === 'file systems')?.note
  const { freeze, thaw } = SAMPLE_HOLD
  assert.ok(freeze.state === 'acknowledged' && thaw.state === 'thawed')
  assert.equal(noteOf({ ...SAMPLE_HOLD, thaw: { ...thaw, early: true } }),
    '2 frozen in 20 ms, thawed TOO EARLY by the guardian, in 5.0 ms')
  assert.equal(noteOf({ ...SAMPLE_HOLD, thaw: { state: 'not-frozen', issuedMs: 1050 }, freeze: {
    state: 'failed', issuedMs: 1, failedMs: 2, fault: { code: 'x', message: 'y' } } }),
  'the freeze FAILED, found not frozen')
})
