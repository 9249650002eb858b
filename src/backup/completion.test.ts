import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { readCatalog } from '../catalog/mod.ts'
import { openPointRepository } from '../catalog/testing/mod.ts'
import type { Storage } from '../storage/mod.ts'
import { openMemoryStorage } from '../storage/testing/mod.ts'
import { BackupBench, signal } from './testing/backup-bench.ts'

/** A store that takes so many snapshot files and no more. */
function takingSnapshots(storage: Storage, count: number): Storage {
  let left = count
  return {
    location: storage.location,
    create: (signal) => storage.create(signal),
    get: (file, range, signal) => storage.get(file, range, signal),
    list: (kind, signal) => storage.list(kind, signal),
    remove: (file, signal) => storage.remove(file, signal),
    put: async (file, parts, signal) => {
      if (file.kind === 'snapshots' && left-- === 0) {
        throw new Fault('no-space', 'the store is full')
      }
      return storage.put(file, parts, signal)
    },
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  }
}

test('a point is a point although its completion could not be recorded', async () => {
  const storage = takingSnapshots(openMemoryStorage(), 1)
  await using bench = new BackupBench(await openPointRepository(storage), {})
  const { stored } = await bench.backup()
  assert.ok('snapshotId' in stored)
  assert.deepEqual(bench.logged, ['backup.completion-not-recorded'])
  const { points, records } = await readCatalog(bench.repository, signal)
  assert.deepEqual([points.map(({ state }) => state), records], [['readable'], []])
})

test('a completion record names the evidence, and what each application made of it', async () => {
  await using bench = new BackupBench(await openPointRepository(openMemoryStorage()), {})
  const { stored, pointId } = await bench.backup()
  assert.ok('snapshotId' in stored)
  const { records: [record] } = await readCatalog(bench.repository, signal)
  assert.ok(record?.signed.isGenuine === true && record.signed.statement.kind === 'completion')
  const { digest, sequence, applications, machine } = record.signed.statement
  assert.deepEqual([digest, sequence, applications, machine], [stored.digest, 1, [], 'db1'])
  assert.equal(record.signed.statement.pointId, pointId)
})
