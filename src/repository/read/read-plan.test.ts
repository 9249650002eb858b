import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DiskChunk } from '../disks/disk-chunks.ts'
import { blobIdOf, fileIdOf, type BlobId } from '../format/id.ts'
import { BlobIndex } from '../index.ts'
import { planReads } from './read-plan.ts'

const idOf = (n: number): BlobId => blobIdOf(Buffer.from(`blob ${n}`))
const chunkBytes = 4096

/** `packs[p]` blobs in pack p, numbered through; every blob is sealed into 1000 bytes. */
function indexOf(packs: readonly number[]): BlobIndex {
  const index = new BlobIndex()
  let n = 0
  for (const [p, count] of packs.entries()) {
    const blobs = Array.from({ length: count }, (_, at) => ({
      kind: 'data' as const, id: idOf(n++), offset: at * 1000, length: 1000,
      uncompressedLength: chunkBytes,
    }))
    index.addPack({ id: fileIdOf(Buffer.from(`pack ${p}`)), blobs })
  }
  return index
}

const chunksOf = (blobs: readonly number[]): DiskChunk[] => blobs.map((n, at) =>
  ({ id: idOf(n), offset: at * chunkBytes, length: chunkBytes }))

test('every chunk is planned once, every blob read once, inside its range', () => {
  const anyBlobs = fc.array(fc.integer({ min: 0, max: 2999 }), { maxLength: 300 })
  fc.assert(fc.property(anyBlobs, (blobs) => {
    const index = indexOf([1000, 1000, 1000])
    const chunks = chunksOf(blobs)
    const reads = planReads(index, chunks)
    const planned = reads.flatMap((read) => read.blobs)
    assert.deepEqual(
      planned.flatMap((blob) => blob.chunks).sort((a, b) => a.offset - b.offset), chunks)
    assert.equal(planned.length, new Set(blobs).size)
    for (const { packId, offset, length, blobs } of reads) {
      for (const { location, chunks } of blobs) {
        assert.equal(location.packId, packId)
        assert.ok(location.offset >= offset)
        assert.ok(location.offset + location.length <= offset + length)
        assert.ok(chunks.every(({ id }) => id === location.id))
      }
      assert.ok(blobs.length * chunkBytes <= 4 * 1024 * 1024)
    }
  }))
})

test('neighbours are read at once, and a wide gap is not', () => {
  const index = indexOf([1000])
  assert.equal(planReads(index, chunksOf([5, 3, 4, 60])).length, 1)
  assert.equal(planReads(index, chunksOf([3, 4, 71])).length, 2)
})

test('a chunk that no index knows, or of another length, is a fault', () => {
  const index = indexOf([2])
  assert.throws(() => planReads(index, chunksOf([7])), { code: 'repository-damaged' })
  const short = { id: idOf(1), offset: 0, length: 100 }
  assert.throws(() => planReads(index, [short]), { code: 'point-invalid' })
})
