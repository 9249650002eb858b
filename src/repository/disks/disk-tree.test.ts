import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../../base/random.ts'
import { faultyBlockSource, memorySource } from '../../disk/testing/mod.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { openDiskImage } from './disk-image.ts'
import { storeDisk, type DiskProgress } from './disk-tree.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import { beginWrite } from '../write/write-session.ts'

const signal = new AbortController().signal
const chunkBytes = 4096
const small = { chunkBytes, segmentBytes: 4 * chunkBytes }

/** Content of a disk, block by block: 0 is zeros, another number is content of its own. */
function diskOf(blocks: readonly number[], sizeBytes: number, blockBytes = 1024): Uint8Array {
  const disk = new Uint8Array(sizeBytes)
  for (const [at, seed] of blocks.entries()) {
    if (seed === 0 || at * blockBytes >= sizeBytes) continue
    const room = Math.min(blockBytes, sizeBytes - at * blockBytes)
    // Odd ones are text-like, even ones random.
    const bytes = seededRandom(seed)(blockBytes).map((byte) => (seed % 2 === 1 ? byte & 3 : byte))
    disk.set(bytes.subarray(0, room), at * blockBytes)
  }
  return disk
}

const anyDisk = fc.tuple(
  fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 9 })),
    { maxLength: 90 }),
  fc.integer({ min: 0, max: 1023 }),
).map(([blocks, odd]) => diskOf(blocks, blocks.length * 1024 + odd))

test('any disk comes back, whole by the fast path and in parts by the image', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  await fc.assert(fc.asyncProperty(anyDisk, fc.boolean(), fc.nat(), fc.nat(),
    async (disk, knowsZeros, a, b) => {
      const source = memorySource(disk, { extentBytes: knowsZeros ? 512 : 'none' })
      const stored = await storeTestDisk(repository, source, small, signal, { workers: 1 })
      const geometry = { ...small, sizeBytes: disk.length }
      assert.equal(stored.sizeBytes, disk.length)
      assert.deepEqual(await readTestDisk(repository, stored.treeId, geometry, signal), disk)
      await using image = openDiskImage(repository, stored.treeId, geometry)
      const offset = disk.length === 0 ? 0 : a % disk.length
      const length = disk.length === 0 ? 0 : b % (disk.length - offset + 1)
      assert.deepEqual(
        await image.read(offset, length, signal), disk.slice(offset, offset + length))
    }), { numRuns: 25 })
})

test('equal disks have equal trees, whoever knows their zeros and however many work', async () => {
  const disk = diskOf([1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 11], 40_000)
  const ids = new Set<string>()
  for (const extentBytes of [512, 4096, 'none'] as const) {
    for (const workers of [0, 1, 3]) {
      const repository = await openTestRepository(openMemoryStorage(), signal)
      const source = memorySource(disk, { extentBytes })
      ids.add((await storeTestDisk(repository, source, small, signal, { workers })).treeId)
    }
  }
  assert.equal(ids.size, 1)
})

test('known zeros are not read, and a second copy adds no data', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const disk = diskOf([1, ...Array<number>(200).fill(0), 2], 300_000)
  const stored = await storeTestDisk(repository, memorySource(disk), small, signal)
  assert.equal(stored.bytesRead, 2 * chunkBytes)
  assert.equal(stored.bytesRead + stored.zeroBytes, disk.length)
  await using session = await beginWrite(repository, { workers: 1 }, signal)
  await storeDisk(session, memorySource(disk), small, () => {}, signal)
  await session.flush(signal)
  assert.equal(session.counts.dataBlobs + session.counts.treeBlobs, 0)
  assert.equal(session.counts.knownChunks, 2)
})

test('extents of an image are exact', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const disk = diskOf([0, 0, 0, 0, 1], 6 * chunkBytes + 100)
  const { treeId } = await storeTestDisk(repository, memorySource(disk), small, signal)
  await using image = openDiskImage(repository, treeId, { ...small, sizeBytes: disk.length })
  const found = []
  const range = { offset: 10, length: disk.length - 20 }
  for await (const extent of image.extents?.(range, signal) ?? []) {
    found.push(extent)
  }
  assert.deepEqual(found, [
    { kind: 'zero', offset: 10, length: chunkBytes - 10 },
    { kind: 'data', offset: chunkBytes, length: chunkBytes },
    { kind: 'zero', offset: 2 * chunkBytes, length: 4 * chunkBytes + 100 - 10 },
  ])
})

test('an increment equals a full read and reads what changed alone', async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 90 }),
    fc.array(fc.tuple(fc.nat({ max: 89 }), fc.integer({ min: 0, max: 5 })), { maxLength: 6 }),
    async (blocks, writes) => {
      const repository = await openTestRepository(openMemoryStorage(), signal)
      const size = blocks.length * 1024 - 7
      const base = await storeTestDisk(
        repository, memorySource(diskOf(blocks, size)), small, signal, { workers: 1 })
      const after = [...blocks]
      for (const [at, seed] of writes) if (at < after.length) after[at] = seed
      const touched = [...new Set(writes.map(([at]) => at))].filter((at) => at < after.length)
      const changed = touched.sort((a, b) => a - b).map((at) =>
        ({ offset: at * 1024, length: Math.min(1024, size - at * 1024) }))
      const source = memorySource(diskOf(after, size))
      const increment = await storeTestDisk(repository, source,
        { ...small, base: { repository, treeId: base.treeId, changed } }, signal, { workers: 1 })
      const full = await storeTestDisk(repository, source, small, signal, { workers: 1 })
      assert.equal(increment.treeId, full.treeId)
      assert.ok(increment.bytesRead <= new Set(touched.map((at) => at >> 2)).size * chunkBytes)
      assert.equal(increment.bytesRead + increment.zeroBytes + increment.reusedBytes, size)
    }), { numRuns: 20 })
})

test('progress never goes back and ends with the whole disk', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const disk = diskOf(Array.from({ length: 60 }, (_, n) => n % 7), 60_000)
  await using session = await beginWrite(repository, { workers: 2 }, signal)
  const seen: number[] = [0]
  const note = ({ doneBytes }: DiskProgress): unknown => seen.push(doneBytes)
  await storeDisk(session, memorySource(disk), small, note, signal)
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b))
  assert.equal(seen.at(-1), disk.length)
})

test('a disk that fails or gives too little stops its storing and not the session', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const disk = diskOf(Array.from({ length: 60 }, (_, n) => n % 7), 60_000)
  await using session = await beginWrite(repository, { workers: 2 }, signal)
  for (const trouble of [{ errorRate: 1 }, { lostAfter: 2 }, { shortReadRate: 1 }]) {
    const source = faultyBlockSource(
      memorySource(disk, { extentBytes: 'none' }), { seed: 1, ...trouble }, new ManualClock())
    await assert.rejects(storeDisk(session, source, small, () => {}, signal), /disk/)
  }
  const { treeId } = await storeDisk(session, memorySource(disk), small, () => {}, signal)
  await session.flush(signal)
  const geometry = { ...small, sizeBytes: disk.length }
  assert.deepEqual(await readTestDisk(repository, treeId, geometry, signal), disk)
})

test('lengths that do not fit one another and disks beyond the layout are refused', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  await using session = await beginWrite(repository, {}, signal)
  const source = memorySource(new Uint8Array(10))
  for (const options of [
    { chunkBytes: 0 }, { chunkBytes: 4096, segmentBytes: 5000 }, { chunkBytes: 1.5 },
  ]) {
    await assert.rejects(
      storeDisk(session, source, options, () => {}, signal), { code: 'unsupported' })
  }
  const huge = { ...source, sizeBytes: 161 * 2 ** 40 }
  await assert.rejects(
    storeDisk(session, huge, { chunkBytes: 524_288 }, () => {}, signal), { code: 'unsupported' })
})
