import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { WitnessLog } from './witness.ts'

const never = new AbortController().signal

test('lines are taken as they come, cut anywhere, each with its time', () => {
  const clock = new ManualClock()
  const witness = new WitnessLog(clock)
  const startMs = clock.nowMs()
  for (const part of ['ack ro', 'ws 1\nack rows', ' 2', '\r\n']) {
    witness.feed(part)
    clock.advance(10)
  }
  assert.deepEqual(witness.acknowledged('rows').map(({ id, atMs }) => [id, atMs - startMs]), [
    [1, 10], [2, 30]])
  assert.equal(witness.lastAcknowledgedBy('rows', startMs + 29)?.id, 1)
  assert.equal(witness.lastAcknowledgedBy('rows', startMs + 9), undefined)
  assert.equal(witness.lastAcknowledged('canary'), undefined)
})

test('what is not understood proves nothing', () => {
  const witness = new WitnessLog(new ManualClock())
  witness.feed('ack rows -1\nack rows 1e9\nack rows\nack rows 99999999999999999\n')
  witness.feed('table rows x 1 ok\nnoise\n\n')
  assert.equal(witness.lastAcknowledged('rows'), undefined)
  assert.equal(witness.boot.tables.size, 0)
})

test('a line that never ends is a fault', () => {
  const witness = new WitnessLog(new ManualClock())
  assert.throws(() => witness.feed('x'.repeat(5000)), { code: 'agent-protocol' })
})

test('who waits is told when it holds, and when the guest has gone', async () => {
  const witness = new WitnessLog(new ManualClock())
  const ready = witness.until('ready', ({ isReady }) => isReady, never)
  const row = witness.until('row 7', (it) => it.lastAcknowledged('rows')?.id === 7, never)
  witness.feed('ready\n')
  await ready
  witness.end(new Fault('machine-lost', 'gone'))
  await assert.rejects(row, { code: 'machine-lost', message: /before row 7/ })
})

test('the report of the boot is parsed, and what is foreign in it made harmless', () => {
  const witness = new WitnessLog(new ManualClock())
  witness.feed('disk disk0 ext4 mounted recovered=yes\ntable rows 5 4 Page 3:\u001b[31m bad\n')
  witness.feed('log db redo done\nlog db \u001b[0m\n' + 'log much x\n'.repeat(200))
  assert.deepEqual(witness.boot.logs.get('db'), ['redo done', '\\x1b[0m'])
  assert.equal(witness.boot.logs.get('much')?.length, 100)
  assert.deepEqual(witness.boot.disks.get('disk0'), {
    fileSystem: 'ext4', mounted: true, recovered: true })
  assert.deepEqual(witness.boot.tables.get('rows'), {
    maxId: 5, count: 4, integrity: 'Page 3:\\x1b[31m bad' })
})
