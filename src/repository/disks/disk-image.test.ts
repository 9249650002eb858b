import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Fault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { MOST_HERE_BYTES } from '../../base/thread-pool.ts'
import { memorySource, testBlockSource, contractContent } from '../../disk/testing/mod.ts'
import type { Storage } from '../../storage/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { openDiskImage } from './disk-image.ts'
import { copyDisk, readDisk } from './disk-reader.ts'
import type { BlobId } from '../format/id.ts'
import { dirNode, fileNode } from '../format/node.ts'
import type { Repository } from '../repository.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import type { Tree } from '../format/tree.ts'
import { beginWrite, type WriteSession } from '../write/write-session.ts'

const signal = new AbortController().signal
const chunkBytes = 4096
const small = { chunkBytes, segmentBytes: 2 * chunkBytes }
/** So many that threads read them too. */
const LARGE_CHUNKS = 1.25 * MOST_HERE_BYTES / chunkBytes

testBlockSource('stored disk', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const content = contractContent()
  const { treeId } = await storeTestDisk(repository, memorySource(content), small, signal)
  return openDiskImage(repository, treeId, { ...small, sizeBytes: content.length })
})

/** A disk of four segments, each part of which `change` may replace before it is stored. */
interface Parts {
  readonly segments: Tree[]
  readonly groups: Tree[]
}

const sizeBytes = 7 * chunkBytes + 100

async function storeParts(change: (
  parts: Parts, session: WriteSession) => Promise<void>): Promise<[Repository, BlobId]> {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  await using session = await beginWrite(repository, {}, signal)
  const random = seededRandom(1)
  const save = (length: number): Promise<BlobId> => session.saveData(random(length))
  const segments: Tree[] = []
  for (const lengths of [[4096, 4096], [4096, 4096], [4096, 4096], [4096, 100]]) {
    const ids = []
    for (const length of lengths) ids.push(await save(length))
    const size = lengths.reduce((sum, length) => sum + length)
    segments.push({ nodes: [fileNode('seg', size, ids)] })
  }
  const parts: Parts = { segments, groups: [] }
  await change(parts, session)
  const nodes = []
  for (const [at, segment] of parts.segments.entries()) {
    nodes.push(dirNode(String(at).padStart(2, '0'), await session.saveTree(segment)))
  }
  const group = parts.groups[0] ?? { nodes }
  const groupId = await session.saveTree(group)
  const treeId = await session.saveTree({ nodes: [dirNode('0000', groupId)] })
  await session.flush(signal)
  return [repository, treeId]
}

const hostile: readonly (readonly [string, Parameters<typeof storeParts>[0]])[] = [
  ['a segment too few', async ({ segments }) => { segments.pop() }],
  ['a segment too many', async ({ segments }) => { segments.push(...segments.slice(0, 1)) }],
  ['a chunk too few', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => ids.slice(1), 8192)
  }],
  ['a chunk too many', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => [...ids, ...ids], 8192)
  }],
  ['a size that is not the segment\'s', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => ids, 8191)
  }],
  ['a size beyond all bounds', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => ids, Number.MAX_SAFE_INTEGER)
  }],
  ['a chunk of another length', async ({ segments }, session) => {
    const short = await session.saveData(new Uint8Array(99).fill(1))
    segments[1] = withFile(segments[1], ([first]) => [first ?? short, short], 8192)
  }],
  ['a chunk that is longer than its place', async ({ segments }, session) => {
    const long = await session.saveData(new Uint8Array(1_000_000).fill(1))
    segments[1] = withFile(segments[1], ([first]) => [first ?? long, long], 8192)
  }],
  ['another name', async ({ segments }) => {
    segments[1] = { nodes: [fileNode('gse', 8192, [])] }
  }],
  ['a second file', async ({ segments }) => {
    segments[1] = { nodes: [fileNode('a', 0, []), ...(segments[1]?.nodes ?? [])] }
  }],
  ['a folder in place of a file', async ({ segments }, session) => {
    const treeId = await session.saveTree({ nodes: [] })
    segments[1] = { nodes: [dirNode('seg', treeId)] }
  }],
  ['a file in place of a folder', async ({ groups }) => {
    groups.push({ nodes: ['00', '01', '02', '03'].map((name) => fileNode(name, 0, [])) })
  }],
]

function withFile(
  tree: Tree | undefined, change: (ids: readonly BlobId[]) => readonly BlobId[], size: number,
): Tree {
  const node = tree?.nodes[0]
  return { nodes: [fileNode('seg', size, node?.type === 'file' ? change(node.content) : [])] }
}

async function drain(data: AsyncIterable<unknown>): Promise<number> {
  let count = 0
  for await (const _ of data) count++
  return count
}

test('a tree that is as it should be is read', async () => {
  const [repository, treeId] = await storeParts(async () => {})
  const geometry = { ...small, sizeBytes }
  const image = openDiskImage(repository, treeId, geometry)
  const whole = await readTestDisk(repository, treeId, geometry, signal)
  assert.deepEqual(await image.read(0, sizeBytes, signal), whole)
  assert.equal(await drain(readDisk(repository, treeId, geometry, {}, signal)), 8)
})

for (const [what, change] of hostile) {
  test(`a disk with ${what} is invalid`, async () => {
    const [repository, treeId] = await storeParts(change)
    const geometry = { ...small, sizeBytes }
    await using image = openDiskImage(repository, treeId, geometry)
    await assert.rejects(image.read(0, sizeBytes, signal), { code: 'point-invalid' })
    await assert.rejects(
      drain(readDisk(repository, treeId, geometry, {}, signal)), { code: 'point-invalid' })
  })
}

test('a disk that lacks a blob is damaged', async () => {
  const [repository, treeId] = await storeParts(async ({ segments }) => {
    segments[2] = withFile(segments[2], () => ['00'.repeat(32), '11'.repeat(32)] as BlobId[], 8192)
  })
  const geometry = { ...small, sizeBytes }
  await using image = openDiskImage(repository, treeId, geometry)
  await assert.rejects(image.read(0, sizeBytes, signal), { code: 'repository-damaged' })
  await assert.rejects(
    drain(readDisk(repository, treeId, geometry, {}, signal)), { code: 'repository-damaged' })
  // What is not damaged can still be had.
  assert.equal((await image.read(0, 2 * chunkBytes, signal)).length, 2 * chunkBytes)
})

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

test('a blob that is damaged in one pack is read from another', async () => {
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
  const stored = await storeTestDisk(second, memorySource(disk), small, signal)
  for await (const { name } of storage.list('data', signal)) {
    const file = { kind: 'data', name } as const
    const bytes = await storage.get(file, {}, signal)
    if (bytes.length < 5 * chunkBytes) continue
    await storage.remove(file, signal)
    await storage.put(file, [bytes.fill(0, 0, 100)], signal)
    break
  }
  const repository = await openTestRepository(storage, signal)
  await repository.loadIndex(signal)
  const geometry = { ...small, sizeBytes: disk.length }
  assert.deepEqual(
    Buffer.from(await readTestDisk(repository, stored.treeId, geometry, signal)), Buffer.from(disk))
})

test('a reader that stops early, an abort and a failing sink end the threads', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const disk = seededRandom(3)(LARGE_CHUNKS * chunkBytes)
  const { treeId } = await storeTestDisk(repository, memorySource(disk), small, signal)
  const geometry = { ...small, sizeBytes: disk.length }
  for await (const { bytes } of readDisk(repository, treeId, geometry, {}, signal)) {
    assert.equal(bytes.length, chunkBytes)
    break
  }
  const abort = new AbortController()
  const reason = new Fault('timed-out', 'enough')
  const reading = readDisk(repository, treeId, geometry, { workers: 1 }, abort.signal)
  await reading.next()
  abort.abort(reason)
  await assert.rejects(drain(reading), reason)
  const full = new Fault('no-space', 'full')
  const sink = {
    name: 'full', sizeBytes: disk.length, write: () => Promise.reject(full),
    finish: async () => {}, [Symbol.asyncDispose]: async () => {},
  }
  await assert.rejects(
    copyDisk(repository, treeId, geometry, sink, {}, () => {}, signal), full)
})

test('an image that is closed reads no more', async () => {
  const [repository, treeId] = await storeParts(async () => {})
  const image = openDiskImage(repository, treeId, { ...small, sizeBytes })
  await image.read(0, 10, signal)
  await image[Symbol.asyncDispose]()
  await assert.rejects(image.read(0, 10, signal), { code: 'disk-lost' })
})
