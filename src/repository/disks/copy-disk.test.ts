import { strict as assert } from 'node:assert'
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { causesOf, Fault, isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { MOST_HERE_BYTES } from '../../base/thread-pool.ts'
import { isZero } from '../../base/zero.ts'
import { createRawSink, type BlockSink } from '../../disk/mod.ts'
import { memorySink, memorySource } from '../../disk/testing/mod.ts'
import type { Storage } from '../../storage/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import type { BlobId } from '../format/id.ts'
import { OpenThreads } from '../read/open-threads.ts'
import type { Repository } from '../repository.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import { hasEnded, startedThreads } from '../testing/started-threads.ts'
import { beginWrite } from '../write/write-session.ts'
import { copyDisk } from './copy-disk.ts'

const signal = new AbortController().signal
const chunkBytes = 4096
const small = { chunkBytes, segmentBytes: 2 * chunkBytes }
/** With several blocks of a file system in each chunk. */
const wide = { chunkBytes: 16_384, segmentBytes: 65_536 }
/** So many that threads read them too. */
const LARGE_CHUNKS = 1.25 * MOST_HERE_BYTES / chunkBytes

/** `storage` in which a byte of what is read of a pack is flipped, from its `offset` on. */
function flipping(storage: Storage, offset: number): Storage {
  return {
    ...storage,
    get: async (file, options, signal) => {
      const bytes = await storage.get(file, options, signal)
      const isHit = file.kind === 'data' && (options.range?.offset ?? 0) >= offset
      if (isHit) bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
      return bytes
    },
  }
}

for (const [where, chunks, offset] of [
  ['a short disk', 5, 0], ['what threads read', LARGE_CHUNKS, MOST_HERE_BYTES / 2]] as const) {
  test(`damage in the store to ${where} is found`, async () => {
    const storage = openMemoryStorage()
    const disk = seededRandom(3)(chunks * chunkBytes)
    const stored = await storeTestDisk(
      await openTestRepository(storage, signal), memorySource(disk), small, signal)
    const geometry = { ...small, sizeBytes: disk.length }
    const repository = await openTestRepository(storage, signal)
    await repository.loadIndex(signal)
    // Trees are read before the flips begin.
    await readTestDisk(repository, stored.treeId, geometry, signal)
    const damaged: Repository = Object.create(repository, {
      storage: { value: flipping(storage, offset) },
      readTree: { value: repository.readTree.bind(repository) },
      readBlob: { value: async () => { throw new Fault('repository-damaged', 'flipped') } },
      index: { value: repository.index }, masterKey: { value: repository.masterKey },
      log: { value: repository.log },
    }) as Repository
    await assert.rejects(
      readTestDisk(damaged, stored.treeId, geometry, signal), { code: 'repository-damaged' })
  })
}

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-copy-disk-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

interface Stored {
  readonly disk: Uint8Array
  /** What `copyDisk` is called with before the sink. */
  readonly from: readonly [Repository, BlobId, typeof wide & { readonly sizeBytes: number }]
}

async function stored(disk: Uint8Array<ArrayBuffer>): Promise<Stored> {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  const { treeId } = await storeTestDisk(repository, memorySource(disk), wide, signal)
  return { disk, from: [repository, treeId, { ...wide, sizeBytes: disk.length }] }
}

/** A third of it zeros, in runs of a block of 4096 bytes; some chunks twice. */
function patchyDisk(chunks: number): Uint8Array<ArrayBuffer> {
  const disk = Uint8Array.from(seededRandom(5)(chunks * wide.chunkBytes))
  for (let at = 0; at < disk.length; at += 3 * 4096) disk.fill(0, at, at + 4096)
  disk.copyWithin(disk.length >> 1, 0, disk.length >> 2)
  return disk
}

test('threads write what is not zero to the file of the sink', async (t) => {
  const path = join(await folderFor(t), 'disk.raw')
  const { disk, from } = await stored(patchyDisk(512))
  const started = startedThreads(t)
  const told: number[] = []
  {
    await using threads = new OpenThreads(2)
    await using sink = await createRawSink(path, disk.length, signal)
    const fileAlone: BlockSink = {
      ...sink, write: () => assert.fail(), finish: () => assert.fail(),
      [Symbol.asyncDispose]: () => assert.fail(),
    }
    await copyDisk(...from, fileAlone, { threads }, (bytes) => told.push(bytes), signal)
    assert.ok(started.length === 2 && started.every(hasEnded), 'who takes them ends them')
    await sink.finish(signal)
  }
  assert.ok(Buffer.from(disk).equals(await readFile(path)))
  assert.ok((await stat(path)).blocks * 512 <= 0.7 * disk.length)
  assert.equal(told.at(-1), disk.length)
  assert.deepEqual(told, told.toSorted((a, b) => a - b))
})

test('where none wait, the first blobs are opened here, the others by threads', async (t) => {
  const path = join(await folderFor(t), 'disk.raw')
  for (const chunks of [8, 2 * MOST_HERE_BYTES / wide.chunkBytes]) {
    const { disk, from } = await stored(patchyDisk(chunks))
    const started = startedThreads(t)
    {
      await using sink = await createRawSink(path, disk.length, signal)
      await copyDisk(...from, sink, {}, () => {}, signal)
      await sink.finish(signal)
    }
    assert.equal(started.length > 0, chunks > 8)
    assert.ok(Buffer.from(disk).equals(await readFile(path)))
    await rm(path)
  }
})

test('a blob that is damaged in one pack is read from another', async (t) => {
  const storage = openMemoryStorage()
  const disk = seededRandom(3)(5 * chunkBytes)
  const first = await openTestRepository(storage, signal)
  const second = await openTestRepository(storage, signal)
  // Neither knows the other's packs: every blob is stored twice.
  const sessions = [await beginWrite(first, {}, signal), await beginWrite(second, {}, signal)]
  await using one = sessions[0]
  await using two = sessions[1]
  assert.ok(one && two)
  for (const session of [one, two]) {
    for (let at = 0; at < disk.length; at += chunkBytes) {
      await session.saveData(disk.subarray(at, at + chunkBytes))
    }
    await session.flush(signal)
  }
  const { treeId } = await storeTestDisk(second, memorySource(disk), small, signal)
  for await (const { name } of storage.list('data', signal)) {
    const file = { kind: 'data', name } as const
    const bytes = await storage.get(file, {}, signal)
    if (bytes.length < 5 * chunkBytes) continue
    await storage.remove(file, signal)
    // Not the first of them, so that others are written before it is found.
    await storage.put(file, [bytes.fill(0, 3 * chunkBytes, 3 * chunkBytes + 100)], signal)
    break
  }
  const repository = await openTestRepository(storage, signal)
  await repository.loadIndex(signal)
  const geometry = { ...small, sizeBytes: disk.length }
  assert.ok(Buffer.from(disk).equals(await readTestDisk(repository, treeId, geometry, signal)))
  const path = join(await folderFor(t), 'disk.raw')
  await using threads = new OpenThreads(1)
  await using sink = await createRawSink(path, disk.length, signal)
  await copyDisk(repository, treeId, geometry, sink, { threads }, () => {}, signal)
  await sink.finish(signal)
  assert.ok(Buffer.from(disk).equals(await readFile(path)))
})

test('a full disk is told as it is, and no thread writes any more', async (t) => {
  const { disk, from } = await stored(patchyDisk(64))
  const started = startedThreads(t)
  await using full = await open('/dev/full', 'w')
  await using threads = new OpenThreads(1)
  const sink: BlockSink = {
    ...memorySink(new Uint8Array(disk.length)),
    file: { fd: full.fd, path: '/full/disk.raw', holeBytes: 4096 },
  }
  const copying = copyDisk(...from, sink, { threads, workers: 1 }, () => {}, signal)
  await assert.rejects(copying, (error) => {
    assert.ok(isFault(error, 'no-space'))
    assert.match(causesOf(error).join(), /^the file system of \/full\/disk.raw is full,ENOSPC: /)
    return true
  })
  assert.ok(started.length === 1 && started.every(hasEnded))
})

test('an abort ends the threads before it is passed on', async (t) => {
  const { disk, from } = await stored(patchyDisk(2048))
  const started = startedThreads(t)
  const path = join(await folderFor(t), 'disk.raw')
  await using threads = new OpenThreads(1)
  const abort = new AbortController()
  const reason = new Fault('timed-out', 'enough')
  {
    await using sink = await createRawSink(path, disk.length, signal)
    const told: number[] = []
    await assert.rejects(copyDisk(...from, sink, { threads, workers: 1 }, (bytes) => {
      told.push(bytes)
      abort.abort(reason)
    }, abort.signal), reason)
    assert.ok(started.length === 1 && started.every(hasEnded))
    assert.ok((told.at(-1) ?? 0) < disk.length)
  }
  await assert.rejects(stat(path), { code: 'ENOENT' })
  await assert.rejects(stat(`${path}.partial`), { code: 'ENOENT' })
})

test('a failing sink ends the copy, and one that is too short is not written', async () => {
  const { disk, from } = await stored(patchyDisk(64))
  const full = new Fault('no-space', 'full')
  const failing = { ...memorySink(new Uint8Array(disk.length)), write: () => Promise.reject(full) }
  await assert.rejects(copyDisk(...from, failing, {}, () => {}, signal), full)
  const short = new Uint8Array(wide.chunkBytes)
  await assert.rejects(
    copyDisk(...from, memorySink(short), {}, () => {}, signal), { code: 'out-of-range' })
  assert.ok(isZero(short))
})
