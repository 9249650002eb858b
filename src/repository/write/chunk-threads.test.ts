import { strict as assert } from 'node:assert'
import { test, type TestContext } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { memorySource } from '../../disk/testing/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import { ChunkThreads } from './chunk-threads.ts'

const signal = new AbortController().signal

/** Every thread that starts from here on; node tells of it in the next tick. */
function startedThreads(t: TestContext): readonly Worker[] {
  const started: Worker[] = []
  const note = (worker: Worker): void => void started.push(worker)
  process.on('worker', note)
  t.after(() => process.off('worker', note))
  return started
}

const hasEnded = (worker: Worker | undefined): boolean => worker?.threadId === -1

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
