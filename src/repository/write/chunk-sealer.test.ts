import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { openBlob } from '../format/blob.ts'
import { ChunkSealer, PACK_BUFFER_BYTES } from './chunk-sealer.ts'
import { KEY_BYTES, MasterKey } from '../format/crypto.ts'
import { blobIdOf } from '../format/id.ts'
import { zstdCompress } from '../format/zstd.ts'
import {
  MAX_BLOBS_PER_PACK, readPackHeader, TARGET_PACK_BYTES, type FinishedPack,
} from '../format/pack.ts'

const key = new MasterKey(seededRandom(1)(KEY_BYTES))
const MIB = 1024 * 1024
const tools = { key, random: systemRandom, compress: zstdCompress }
const options = { verify: true }

/** Seals until a pack is full. */
function fillPack(sealer: ChunkSealer, chunks: readonly Uint8Array[]): FinishedPack | undefined {
  sealer.useBuffer(new ArrayBuffer(PACK_BUFFER_BYTES))
  for (const chunk of chunks) {
    const pack = sealer.takeFull(chunk.length)
    if (pack !== undefined) return pack
    sealer.add(blobIdOf(chunk), chunk)
  }
  return undefined
}

test('a full pack is what its header says, and its blobs open', () => {
  const sealer = new ChunkSealer(tools, options)
  const chunks = Array.from({ length: 20 }, (_, n) =>
    n % 3 === 0 ? new Uint8Array(MIB).fill(n + 1) : seededRandom(n)(2 * MIB))
  const pack = fillPack(sealer, chunks)
  assert.ok(pack !== undefined)
  const bytes = Buffer.concat(pack.parts)
  assert.equal(bytes.length, pack.sizeBytes)
  assert.ok(bytes.length > TARGET_PACK_BYTES - 2 * MIB)
  assert.deepEqual(readPackHeader(bytes, key, 'pack'), pack.blobs)
  for (const [at, blob] of pack.blobs.entries()) {
    const plain = openBlob(key, blob, bytes.subarray(blob.offset, blob.offset + blob.length))
    assert.equal(Buffer.compare(plain, chunks[at] ?? new Uint8Array(0)), 0)
    // What does not get smaller is stored as it is.
    assert.equal(blob.uncompressedLength, at % 3 === 0 ? MIB : 0)
  }
  assert.ok(sealer.needsBuffer)
})

test('a pack of chunks that compress to nothing is full before its bytes are many', () => {
  const sealer = new ChunkSealer(tools, options)
  const numbers = new Uint32Array(64)
  const chunks = Array.from({ length: MAX_BLOBS_PER_PACK + 1 }, (_, n) => {
    numbers[0] = n
    return new Uint8Array(numbers.buffer.slice(0))
  })
  const pack = fillPack(sealer, chunks)
  assert.equal(pack?.blobs.length, MAX_BLOBS_PER_PACK)
  assert.ok(pack.sizeBytes < MIB)
})

test('a tail holds what filled no pack, once', () => {
  const sealer = new ChunkSealer(tools, options)
  assert.equal(sealer.takeTail(), undefined)
  const chunk = seededRandom(5)(1000)
  assert.equal(fillPack(sealer, [chunk, chunk]), undefined)
  const tail = sealer.takeTail()
  assert.ok(tail !== undefined)
  assert.equal(tail.blobs.length, 2)
  for (const blob of tail.blobs) {
    const sealed = tail.bytes.subarray(blob.offset, blob.offset + blob.length)
    assert.deepEqual(Buffer.from(openBlob(key, blob, sealed)), Buffer.from(chunk))
  }
  assert.equal(sealer.takeTail(), undefined)
})

/** Memory that flips a bit while a chunk is sealed. */
class FlippingKey extends MasterKey {
  override sealInto(...args: Parameters<MasterKey['sealInto']>): void {
    super.sealInto(...args)
    const [target] = args
    target[40] = (target[40] ?? 0) ^ 1
  }
}

test('a chunk that cannot be read back is never stored, unless nobody looks', () => {
  const flipping = { ...tools, key: new FlippingKey(seededRandom(1)(KEY_BYTES)) }
  const chunk = seededRandom(5)(1000)
  const careful = new ChunkSealer(flipping, options)
  assert.throws(() => fillPack(careful, [chunk]), { code: 'worker-failed' })
  const careless = new ChunkSealer(flipping, { verify: false })
  assert.equal(fillPack(careless, [chunk]), undefined)
})

test('a chunk that does not fit its id is found when it is read back', () => {
  const sealer = new ChunkSealer(tools, options)
  sealer.useBuffer(new ArrayBuffer(PACK_BUFFER_BYTES))
  const other = blobIdOf(Buffer.from('other'))
  assert.throws(() => sealer.add(other, Buffer.from('chunk')), { code: 'worker-failed' })
})
