import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backupFigures, captureWindow, shownEvidence } from './report-json.ts'

const summary = {
  message_type: 'summary', point: 'p', grade: 'filesystem', mode: 'full', heldMs: 12.5,
  stalledMs: null, bytesRead: 1000, bytesAdded: 10, durationMs: 700,
}

test('the summary is found among other lines', () => {
  const stdout = `{"message_type":"status"}\n${JSON.stringify(summary)}\n`
  assert.deepEqual(backupFigures(stdout), {
    message_type: 'summary', mode: 'full', bytesRead: 1000, bytesAdded: 10, durationMs: 700 })
})

for (const stdout of ['', 'no JSON', '[1]', '{"message_type":"status"}']) {
  test(`output without a summary is a fault: ${JSON.stringify(stdout)}`, () => {
    assert.throws(() => backupFigures(stdout), { code: 'program-failed' })
    assert.throws(() => shownEvidence(stdout), { code: 'program-failed' })
  })
}

test('the wall time of the start follows from that of the end', () => {
  const instant = {
    method: 'm', oneInstant: true, startMs: 500, endMs: 530, disks: [],
    takenAt: '2026-01-02T03:04:05.100Z',
  }
  const endMs = Date.UTC(2026, 0, 2, 3, 4, 5, 100)
  assert.deepEqual(captureWindow({ instant }), { startMs: endMs - 30, endMs })
})
