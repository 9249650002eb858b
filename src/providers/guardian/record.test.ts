import assert from 'node:assert/strict'
import { utimesSync, writeFileSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { processStart } from '../../base/process-mark.ts'
import { temporaryFolder } from '../testing/mod.ts'
import {
  isGuardianAlive, listRecords, machineRun, readRecord, recordFileFor, removeRecord,
  writeRecord, type HoldRecord,
} from './record.ts'

const record: HoldRecord = {
  version: 1, pid: process.pid, pidStart: processStart(process.pid),
  sockets: { agent: '/a', qmp: '/q', guardianQmp: undefined }, machineRun: 'x',
  frozenSinceMs: 5, stoppedSinceMs: undefined,
}

test('a record is read back as it was written and can be removed twice', async () => {
  await using folder = await temporaryFolder()
  const file = recordFileFor(folder.path, record.sockets, '12345678')
  writeRecord(file, record, true)
  assert.deepEqual(readRecord(file), record)
  assert.deepEqual(listRecords(folder.path), [{ file, record }])
  removeRecord(file)
  removeRecord(file)
  assert.deepEqual(listRecords(folder.path), [])
})

test('a file that is no record is none', async () => {
  await using folder = await temporaryFolder()
  for (const text of ['', '{', '[]', '{"version":2}', '{"version":1}', 'x'.repeat(20_000)]) {
    const file = join(folder.path, 'x.hold.json')
    writeFileSync(file, text)
    assert.equal(readRecord(file), undefined)
    assert.deepEqual(listRecords(folder.path), [])
  }
})

test('a guardian is alive only under the number and start time it wrote', () => {
  assert.equal(isGuardianAlive(record), true)
  assert.equal(isGuardianAlive({ ...record, pidStart: '1' }), false)
  assert.equal(isGuardianAlive({ ...record, pid: 2 ** 22 + 1, pidStart: '' }), false)
})

test('another run of a machine has another name; a change of mode makes none', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'sock')
  writeFileSync(path, '')
  const sockets = { agent: path, qmp: undefined, guardianQmp: undefined }
  const before = machineRun(sockets)
  chmodSync(path, 0o600)
  assert.equal(machineRun(sockets), before)
  utimesSync(path, 1, 1)
  assert.notEqual(machineRun(sockets), before)
})
