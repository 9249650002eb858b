import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { memorySource } from '../../disk/testing/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import { hasEnded, startedThreads } from '../testing/started-threads.ts'
import { ChunkThreads } from './chunk-threads.ts'

const signal = new AbortController().signal

test('a session seals in the threads that wait, and starts no others', async (t) => {
  const started = startedThreads(t)
  await using threads = new ChunkThreads(2)
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const disk = new Uint8Array(24 * 2 ** 20).map((_, at) => at >> 8)
  const sizes = { chunkBytes: 512 * 1024, segmentBytes: 16 * 2 ** 20 }
  const stored = await storeTestDisk(
    repository, memorySource(disk), sizes, signal, { workers: 2, threads })
  assert.equal(started.length, 2)
  assert.ok(started.every(hasEnded), 'who takes them ends them')
  const read = await readTestDisk(
    repository, stored.treeId, { ...sizes, sizeBytes: disk.length }, signal)
  assert.equal(Buffer.compare(read, disk), 0)
})
