import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChunkHasher, cutRun } from './chunk-hasher.ts'
import { blobIdOf } from '../format/id.ts'

test('a run is cut into whole chunks and a rest, without copies', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 1, max: 40 }),
    (bytes, chunkBytes) => {
      const chunks = cutRun(bytes, chunkBytes)
      assert.deepEqual(Buffer.concat(chunks), Buffer.from(bytes))
      assert.ok(chunks.slice(0, -1).every((chunk) => chunk.length === chunkBytes))
      assert.ok(chunks.every((chunk) => chunk.length > 0 && chunk.buffer === bytes.buffer))
    }))
})

test('chunks are named by their SHA-256, and zeros are counted, short ones too', () => {
  const hasher = new ChunkHasher()
  for (const chunkBytes of [4096, 512, 4096]) {
    const run = new Uint8Array(4 * chunkBytes - 100)
    run[chunkBytes] = 1
    run[2 * chunkBytes - 1] = 1
    const { ids, zeroChunks } = hasher.hash(cutRun(run, chunkBytes), chunkBytes)
    assert.deepEqual(ids, cutRun(run, chunkBytes).map(blobIdOf))
    assert.equal(zeroChunks, 3)
  }
})
