import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import type { Storage } from '../../storage/mod.ts'
import { openMemoryStorage, recordingStorage } from '../../storage/testing/mod.ts'
import { sealBlob } from '../format/blob.ts'
import { checkRepository, type CheckReport } from '../check/check.ts'
import { goTime } from '../format/go-json.ts'
import { blobIdOf, type BlobId, type FileId } from '../format/id.ts'
import { encodeIndexFile } from '../format/index-file.ts'
import { fileNode } from '../format/node.ts'
import { PackBuilder, type FinishedPack } from '../format/pack.ts'
import { pruneRepository, type PruneOptions, type PruneReport } from './prune.ts'
import type { Repository } from '../repository.ts'
import { encodeTree } from '../format/tree.ts'
import { openTestRepository } from '../testing/disk-fixture.ts'
import { flipBit } from '../testing/small-repository.ts'
import { writeUnpacked } from '../format/unpacked-file.ts'
import { beginWrite } from '../write/write-session.ts'

const signal = new AbortController().signal
const ALL: PruneOptions = { maxUnused: { kind: 'share', share: 0 }, dryRun: false }

const text = (n: number, length = 5000): Uint8Array<ArrayBuffer> =>
  new Uint8Array(seededRandom(n)(length))

/** A snapshot with one file of these pieces. */
async function store(repository: Repository, pieces: readonly Uint8Array[]): Promise<FileId> {
  await using session = await beginWrite(repository, {}, signal)
  const ids: BlobId[] = []
  for (const piece of pieces) ids.push(await session.saveData(piece))
  const size = pieces.reduce((sum, { length }) => sum + length, 0)
  const tree = await session.saveTree({ nodes: [fileNode('file', size, ids)] })
  await session.flush(signal)
  return await session.saveSnapshot({
    time: goTime(1_700_000_000_000), tree, paths: ['/p'], hostname: 'test' }, signal)
}

async function prune(
  storage: Storage, options: Partial<PruneOptions> = {}): Promise<PruneReport> {
  const repository = await openTestRepository(storage, signal)
  await using lock = await repository.lock(options.dryRun === true ? 'shared' : 'exclusive', signal)
  return await pruneRepository(repository, lock, { ...ALL, ...options }, () => {}, signal)
}

async function check(storage: Storage): Promise<CheckReport> {
  const repository = await openTestRepository(storage, signal)
  return checkRepository(repository, { readData: true }, () => {}, signal)
}

const isClean = async (storage: Storage): Promise<void> => {
  const { findings, unreferencedBlobs, duplicateBlobs } = await check(storage)
  assert.deepEqual([findings, unreferencedBlobs, duplicateBlobs], [[], 0, 0])
}

async function names(storage: Storage, kind: 'data' | 'index'): Promise<readonly string[]> {
  return (await Array.fromAsync(storage.list(kind, signal))).map(({ name }) => name).sort()
}

/** Stores a pack of these blobs and an index file that names it. */
async function storePack(
  { storage, masterKey, random }: Repository, pack: FinishedPack): Promise<void> {
  await storage.put({ kind: 'data', name: pack.id }, pack.parts, signal)
  await writeUnpacked(storage, masterKey, 'index', encodeIndexFile([pack]), random, signal)
}

function packOf(
  { masterKey, random }: Repository, blobs: readonly Uint8Array<ArrayBuffer>[],
): FinishedPack {
  const builder = new PackBuilder('data', masterKey, random)
  for (const blob of blobs) {
    const { sealed, uncompressedLength } = sealBlob(masterKey, blob, random)
    builder.add(blobIdOf(blob), sealed, uncompressedLength)
  }
  return builder.finish()
}

test('a repository without waste is left as it is', async () => {
  const storage = recordingStorage(openMemoryStorage())
  await store(await openTestRepository(storage, signal), [text(1), text(2)])
  const before = storage.operations.length
  const report = await prune(storage)
  const kinds = storage.operations.slice(before).map(({ file }) => file.kind)
  assert.deepEqual(kinds, ['locks', 'locks'])
  assert.deepEqual([report.keptPacks, report.bytesAfter], [2, report.bytesBefore])
})

test('what a forgotten snapshot alone needed goes; what others need is copied sealed', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  const first = await store(repository, [text(1), text(2), text(3)])
  await store(repository, [text(2), text(4)])
  const place = repository.index.lookup('data', blobIdOf(text(2)))
  assert.ok(place !== undefined)
  const sealedAt = async (at: typeof place): Promise<Uint8Array> => storage.get(
    { kind: 'data', name: at.packId }, { range: { offset: at.offset, length: at.length } }, signal)
  const sealed = await sealedAt(place)
  await storage.remove({ kind: 'snapshots', name: first }, signal)
  const report = await prune(storage)
  assert.deepEqual(
    { removed: report.removedPacks, repacked: report.repackedPacks, written: report.writtenPacks,
      used: report.usedBlobs, unused: report.unusedBlobs, copied: report.bytesCopied },
    { removed: 1, repacked: 1, written: 1, used: 3, unused: 3, copied: sealed.length })
  let stored = 0
  for await (const { sizeBytes } of storage.list('data', signal)) stored += sizeBytes
  assert.equal(report.bytesAfter, stored)
  await isClean(storage)
  await repository.loadIndex(signal)
  const copied = repository.index.lookup('data', blobIdOf(text(2)))
  assert.ok(copied !== undefined && copied.packId !== place.packId)
  assert.deepEqual(await sealedAt(copied), sealed)
  assert.equal(repository.index.has('data', blobIdOf(text(1))), false)
})

test('an index that was loaded before a prune does not name afterwards what is gone', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  const first = await store(repository, [text(1), text(2)])
  await storage.remove({ kind: 'snapshots', name: first }, signal)
  await prune(storage)
  assert.deepEqual(await names(storage, 'data'), [])
  // The same repository goes on: it must store again what it had stored before.
  await store(repository, [text(1)])
  await isClean(storage)
})

test('a dry run says what would be done and does nothing', async () => {
  const storage = recordingStorage(openMemoryStorage())
  const repository = await openTestRepository(storage, signal)
  const first = await store(repository, [text(1), text(2), text(3)])
  await store(repository, [text(2)])
  await storage.remove({ kind: 'snapshots', name: first }, signal)
  const before = storage.operations.length
  const outlook = await prune(storage, { dryRun: true })
  assert.ok(storage.operations.slice(before).every(({ file }) => file.kind === 'locks'))
  const { dryRun, ...report } = await prune(storage)
  assert.equal(dryRun, false)
  assert.ok(Math.abs(outlook.bytesAfter - report.bytesAfter) < 200)
  assert.deepEqual({ ...outlook, bytesAfter: 0 }, { dryRun: true, ...report, bytesAfter: 0 })
})

test('of two copies the one in the cleaner pack stays', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  await store(repository, [text(1), text(2)])
  const dirty = packOf(repository, [text(1), text(9), text(8)])
  await storePack(repository, dirty)
  const report = await prune(storage)
  assert.deepEqual(
    [report.duplicateBlobs, report.removedPacks, report.repackedPacks], [1, 1, 0])
  assert.ok(!(await names(storage, 'data')).includes(dirty.id))
  await isClean(storage)
})

test('the last sound copy never goes, whichever pack it is in', async () => {
  const copies = [text(1), text(2)]
  for (const damagedPack of ['staying', 'going'] as const) {
    const storage = openMemoryStorage()
    const repository = await openTestRepository(storage, signal)
    await store(repository, copies)
    const staying = repository.index.lookup('data', blobIdOf(text(1)))
    assert.ok(staying !== undefined)
    const going = packOf(repository, [text(1), text(9), text(8)])
    await storePack(repository, going)
    const name = damagedPack === 'going' ? going.id : staying.packId
    const damaged = { kind: 'data', name } as const
    const bytes = await storage.get(damaged, {}, signal)
    await storage.remove(damaged, signal)
    // The first blob of either pack is the one that both have.
    await storage.put(damaged, [flipBit(40)(bytes)], signal)
    const report = await prune(storage)
    assert.equal(report.removedPacks, 1)
    const after = await openTestRepository(storage, signal)
    await after.loadIndex(signal)
    const read = await after.readBlob('data', blobIdOf(text(1)), signal)
    assert.equal(Buffer.compare(read, text(1)), 0)
  }
})

test('a blob without a sound copy ends the prune, and no pack is lost', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  const first = await store(repository, [text(1), text(2)])
  await store(repository, [text(1)])
  const place = repository.index.lookup('data', blobIdOf(text(1)))
  assert.ok(place !== undefined)
  const file = { kind: 'data', name: place.packId } as const
  const bytes = await storage.get(file, {}, signal)
  await storage.remove(file, signal)
  await storage.put(file, [flipBit(place.offset + 40)(bytes)], signal)
  await storage.remove({ kind: 'snapshots', name: first }, signal)
  const before = await names(storage, 'data')
  await assert.rejects(prune(storage), (error) => error instanceof Error &&
    'code' in error && error.code === 'repository-damaged' && /no sound copy/.test(error.message))
  const after = new Set(await names(storage, 'data'))
  assert.ok(before.every((name) => after.has(name)))
})

test('packs of which nothing is needed may be missing or cut short, and go', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  await store(repository, [text(1)])
  const gone = packOf(repository, [text(7)])
  const short = packOf(repository, [text(8), text(1)])
  await storePack(repository, gone)
  await storePack(repository, short)
  await storage.remove({ kind: 'data', name: gone.id }, signal)
  await storage.remove({ kind: 'data', name: short.id }, signal)
  await storage.put({ kind: 'data', name: short.id }, [new Uint8Array(50)], signal)
  await storage.put({ kind: 'data', name: 'e'.repeat(64) }, [new Uint8Array(9)], signal)
  const report = await prune(storage)
  assert.equal(report.orphanPacks, 1)
  assert.equal((await names(storage, 'data')).length, 2)
  await isClean(storage)
})

test('a pack that mixes data and trees is sorted out', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  const { masterKey: key, random } = repository
  const file = text(1)
  const tree = encodeTree({ nodes: [fileNode('file', file.length, [blobIdOf(file)])] })
  // As a builder of one kind makes it, but for the kind that the index and the header say.
  const blobs = [file, tree].map((blob) => sealBlob(key, blob, random))
  const mixed = new PackBuilder('data', key, random)
  for (const [n, { sealed, uncompressedLength }] of blobs.entries()) {
    mixed.add(blobIdOf([file, tree][n] ?? tree), sealed, uncompressedLength)
  }
  const finished = mixed.finish()
  await storage.put({ kind: 'data', name: finished.id }, finished.parts, signal)
  const listed = finished.blobs.map((blob, n) =>
    ({ ...blob, kind: n === 0 ? 'data' as const : 'tree' as const }))
  const index = encodeIndexFile([{ id: finished.id, blobs: listed }])
  await writeUnpacked(storage, key, 'index', index, random, signal)
  await writeUnpacked(storage, key, 'snapshots', Buffer.from(JSON.stringify({
    time: '2024-01-01T00:00:00Z', tree: blobIdOf(tree), paths: ['/p'] })), random, signal)
  const report = await prune(storage)
  assert.deepEqual([report.repackedPacks, report.writtenPacks], [1, 2])
  await isClean(storage)
})

test('without an exclusive lock nothing is pruned', async () => {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  await using lock = await repository.lock('shared', signal)
  await assert.rejects(
    pruneRepository(repository, lock, ALL, () => {}, signal), assert.AssertionError)
})
