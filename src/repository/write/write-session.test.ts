import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Fault, isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { memorySource } from '../../disk/testing/mod.ts'
import type { Storage } from '../../storage/mod.ts'
import {
  faultyStorage, openMemoryStorage, recordingStorage, replay, type FaultPlan,
} from '../../storage/testing/mod.ts'
import { storeDisk } from '../disks/disk-tree.ts'
import type { BlobId } from '../format/id.ts'
import { dirNode } from '../format/node.ts'
import { TARGET_PACK_BYTES } from '../format/pack.ts'
import type { Repository } from '../repository.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import { beginWrite } from './write-session.ts'

const signal = new AbortController().signal
const MIB = 1024 * 1024
const sizes = { chunkBytes: 512 * 1024, segmentBytes: 16 * MIB }
const limits = { timeout: 120_000 }

/** Random content, so that packs fill up. */
const randomDisk = (seed: number, mib: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(seededRandom(seed)(mib * MIB))
const diskA = randomDisk(1, 6)
const diskB = randomDisk(2, 40)

async function diskTreeOf(repository: Repository, tree: BlobId): Promise<BlobId> {
  let id = tree
  for (const name of ['disks', 'disk']) {
    const node = (await repository.readTree(id, signal)).nodes.find((node) => node.name === name)
    assert.ok(node?.type === 'dir')
    id = node.subtree
  }
  return id
}

/** Opens `storage` as the next process would; every snapshot holds one of `disks`, whole. */
async function checkAll(storage: Storage, disks: readonly Uint8Array[]): Promise<number> {
  const repository = await openTestRepository(storage, signal)
  const snapshots = await repository.snapshots(signal)
  await repository.loadIndex(signal)
  const trees = new Set(snapshots.map(({ snapshot }) => snapshot.tree))
  for (const tree of trees) {
    const treeId = await diskTreeOf(repository, tree)
    const found = await Promise.all(disks.map((disk) =>
      readTestDisk(repository, treeId, { ...sizes, sizeBytes: disk.length }, signal)
        .then((read) => Buffer.compare(read, disk) === 0, () => false)))
    assert.ok(found.includes(true), 'a snapshot holds a whole disk')
  }
  return snapshots.length
}

test('after a crash at any put, every snapshot that is there is whole', limits, async () => {
  const storage = recordingStorage(openMemoryStorage())
  const repository = await openTestRepository(storage, signal)
  await storeTestDisk(repository, memorySource(diskA), sizes, signal)
  const before = storage.operations.length
  await storeTestDisk(repository, memorySource(diskB), sizes, signal)
  const kinds = storage.operations.slice(before).map(({ file }) => file.kind)
  assert.ok(kinds.filter((kind) => kind === 'data').length >= 4)
  assert.deepEqual(kinds.slice(-2), ['index', 'snapshots'])
  for (let end = before; end < storage.operations.length; end++) {
    assert.equal(await checkAll(await replay(storage.operations.slice(0, end)), [diskA]), 1)
  }
  assert.equal(await checkAll(await replay(storage.operations), [diskA, diskB]), 2)
})

test('whatever the store does, a session ends and leaves whole snapshots', limits, async () => {
  const outcomes = { stored: 0, failed: 0 }
  for (let seed = 1; seed <= 8; seed++) {
    const inner = openMemoryStorage()
    await storeTestDisk(await openTestRepository(inner, signal), memorySource(diskA), sizes, signal)
    const plan: FaultPlan = {
      seed, errorChance: (seed % 3) / 20, unknownOutcomeChance: (seed % 2) / 10, maxDelayTurns: 5,
      ...(seed % 4 === 0 ? { lostAfter: 6 + seed } : {}),
    }
    try {
      const repository = await openTestRepository(faultyStorage(inner, plan), signal)
      await storeTestDisk(repository, memorySource(diskB), sizes, signal)
      outcomes.stored++
    } catch (error) {
      // A config that a fault hides looks as if there were none.
      if (!isFault(error, 'storage-failed', 'no-repository', 'repository-exists')) throw error
      outcomes.failed++
    }
    assert.ok(await checkAll(inner, [diskA, diskB]) >= 1)
  }
  assert.ok(outcomes.stored > 0 && outcomes.failed > 0, JSON.stringify(outcomes))
})

test('packs of a failed session do not mislead the next one', limits, async () => {
  const inner = openMemoryStorage()
  const broken = faultyStorage(inner, { seed: 1, errorChance: 1, kinds: ['index'] })
  let isBroken = false
  const storage: Storage = {
    ...inner,
    put: (file, parts, signal) => (isBroken ? broken : inner).put(file, parts, signal),
  }
  const repository = await openTestRepository(storage, signal)
  isBroken = true
  await assert.rejects(
    storeTestDisk(repository, memorySource(diskA), sizes, signal), { code: 'storage-failed' })
  isBroken = false
  await storeTestDisk(repository, memorySource(diskA), sizes, signal)
  assert.equal(await checkAll(inner, [diskA]), 1)
})

test('an abort ends every call with its reason and leaves no snapshot', limits, async () => {
  const inner = openMemoryStorage()
  const repository = await openTestRepository(inner, signal)
  const source = memorySource(diskB, { extentBytes: 'none' })
  for (let reads = 0; reads < 10; reads += 3) {
    const abort = new AbortController()
    const reason = new Fault('timed-out', 'enough')
    let count = 0
    const ending = { ...source, read: async (offset: number, length: number, by: AbortSignal) => {
      if (count++ === reads) abort.abort(reason)
      return source.read(offset, length, by)
    } }
    const storing = storeTestDisk(repository, ending, sizes, abort.signal)
    await assert.rejects(storing, reason)
  }
  assert.equal(await checkAll(inner, []), 0)
})

test('a session that was aborted refuses every call', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const abort = new AbortController()
  await using session = await beginWrite(repository, { workers: 1 }, abort.signal)
  await session.saveData(new Uint8Array(10))
  abort.abort(new Fault('lock-lost', 'the lock is lost'))
  const lost = { code: 'lock-lost' }
  await assert.rejects(session.saveData(new Uint8Array(1)), lost)
  await assert.rejects(session.addRun(new Uint8Array(1), 1), lost)
  await assert.rejects(session.saveTree({ nodes: [] }), lost)
  await assert.rejects(session.flush(signal), lost)
  await assert.rejects(
    storeDisk(session, memorySource(diskA), sizes, () => {}, signal), lost)
})

test('an abort does not wait for a store that does not answer', limits, async () => {
  const inner = openMemoryStorage()
  const repository = await openTestRepository({
    ...inner,
    put: (file, parts, by) => file.kind !== 'data' ? inner.put(file, parts, by)
      : new Promise((_resolve, reject) => {
        by.addEventListener('abort', () => reject(by.reason as Error))
      }),
  }, signal)
  for (const step of ['store', 'flush']) {
    await using session = await beginWrite(repository, { workers: 1 }, signal)
    const abort = new AbortController()
    const reason = new Fault('timed-out', 'enough')
    // More than the buffers hold, so that storing waits; or little, so that flushing does.
    const disk = memorySource(randomDisk(1, step === 'store' ? 80 : 1))
    const working = storeDisk(session, disk, sizes, ({ doneBytes }) => {
      if (doneBytes >= 40 * MIB) abort.abort(reason)
    }, abort.signal).then(() => {
      setImmediate(() => abort.abort(reason))
      return session.flush(abort.signal)
    })
    await assert.rejects(working, reason)
  }
})

test('a thread that dies fails the session instead of hanging it', limits, async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  await using session = await beginWrite(repository, { workers: 2 }, signal)
  const runs = [
    session.addRun(randomDisk(3, 1), 4096),
    session.addRun(new Uint8Array(10), 0), // a length no caller gives: the thread throws
    session.addRun(randomDisk(4, 1), 4096),
  ]
  const outcomes = await Promise.allSettled(runs)
  assert.equal(outcomes[1]?.status, 'rejected')
  await assert.rejects(session.flush(signal), { code: 'worker-failed' })
  await assert.rejects(session.addRun(new Uint8Array(1), 1), { code: 'worker-failed' })
})

test('a snapshot before its blobs are durable is a defect of the caller', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  await using session = await beginWrite(repository, {}, signal)
  const tree = await session.saveTree({ nodes: [] })
  const snapshot = { time: '2024-01-01T00:00:00Z' as never, tree, paths: ['/x'] }
  await assert.rejects(session.saveSnapshot(snapshot, signal), assert.AssertionError)
  await session.flush(signal)
  await session.saveSnapshot(snapshot, signal)
})

test('a session can be flushed again, and counts what it stored', limits, async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  await using session = await beginWrite(repository, { workers: 2 }, signal)
  const runs = [randomDisk(5, 4), randomDisk(6, 4), new Uint8Array(4 * MIB)]
  await Promise.all(runs.map((run) => session.addRun(run, MIB)))
  await session.saveTree({ nodes: [dirNode('a', await session.saveTree({ nodes: [] }))] })
  await session.flush(signal)
  const counts = session.counts
  assert.deepEqual(
    { ...counts, bytesAdded: 0, plaintextAdded: 0 },
    { bytesRead: 12 * MIB, bytesAdded: 0, plaintextAdded: 0, chunks: 12, zeroChunks: 4,
      knownChunks: 3, dataBlobs: 9, treeBlobs: 2 })
  let stored = 0
  for await (const file of storage.list('data', signal)) stored += file.sizeBytes
  assert.equal(counts.bytesAdded, stored)
  assert.ok(counts.plaintextAdded > 9 * MIB)
  await session.addRun(randomDisk(7, 1), MIB)
  await session.flush(signal)
  await session.flush(signal)
  assert.equal(session.counts.dataBlobs, 10)
})

test('tails of all threads make one small pack', limits, async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  await using session = await beginWrite(repository, { workers: 4 }, signal)
  await Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((seed) =>
    session.addRun(randomDisk(seed, 4), MIB)))
  await session.saveData(Buffer.from('a document'))
  await session.flush(signal)
  const packs = []
  for await (const file of storage.list('data', signal)) packs.push(file.sizeBytes)
  assert.equal(packs.filter((size) => size < TARGET_PACK_BYTES).length, 1, packs.join(' '))
})
