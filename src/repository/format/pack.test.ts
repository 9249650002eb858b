import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { openBlob, sealBlob } from './blob.ts'
import { MasterKey } from './crypto.ts'
import { blobIdFromBytes, blobIdOf, fileIdOf, type BlobId } from './id.ts'
import {
  encodePackHeader, packBytes, PackBuilder, parsePackHeader, readPackHeader, TARGET_PACK_BYTES,
  type FinishedPack, type PackedBlob,
} from './pack.ts'

const random = seededRandom(3)
const key = new MasterKey(random(64))
const isDamage = (error: unknown): boolean => isFault(error, 'repository-damaged')

const blobs = fc.array(fc.record({
  kind: fc.constantFrom('data' as const, 'tree' as const),
  id: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => blobIdFromBytes(bytes)),
  length: fc.integer({ min: 33, max: 70_000_000 }),
  uncompressedLength: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 0xffff_ffff })),
}), { maxLength: 40 }).map((list) => {
  let offset = 0
  return list.map((blob): PackedBlob => {
    offset += blob.length
    return { ...blob, offset: offset - blob.length }
  })
})

test('a header is read as it was written', () => {
  fc.assert(fc.property(blobs, (list) => {
    assert.deepEqual(parsePackHeader(encodePackHeader(list), 'it'), list)
  }))
})

test('a header has the layout of the format: type, lengths in little-endian, id', () => {
  const id = '0123456789abcdef'.repeat(4) as BlobId
  const header = encodePackHeader([
    { kind: 'data', id, offset: 0, length: 0x0102, uncompressedLength: 0 },
    { kind: 'tree', id, offset: 0x0102, length: 0x21, uncompressedLength: 0x01020304 },
  ])
  assert.equal(Buffer.from(header).toString('hex'),
    ['0002010000', id, '032100000004030201', id].join(''))
})

test('a header that breaks the format is refused', () => {
  const id = '00'.repeat(32)
  const table: readonly (readonly [string, string])[] = [
    ['an unknown type', `044000000040000000${id}`],
    ['ends within an entry', `0040000000${id.slice(2)}`],
    ['ends within the lengths', '0240'],
    ['a blob of no bytes', `0020000000${id}`],
    ['a blob that decompresses to nothing', `024000000000000000${id}`],
    ['more than 4 GiB', `00ffffffff${id}0040000000${id}`],
  ]
  for (const [name, hex] of table) {
    assert.throws(() => parsePackHeader(Buffer.from(hex, 'hex'), 'it'), isDamage, name)
  }
  assert.throws(() => parsePackHeader(new Uint8Array(16 * 1024 * 1024 + 1), 'it'), isDamage)
})

function build(plaintexts: readonly Uint8Array[]): FinishedPack & { readonly file: Buffer } {
  const builder = new PackBuilder('data', key, random)
  for (const plaintext of plaintexts) {
    const { sealed, uncompressedLength } = sealBlob(key, plaintext, random)
    builder.add(blobIdOf(plaintext), sealed, uncompressedLength)
  }
  const pack = builder.finish()
  return { ...pack, file: Buffer.concat(pack.parts) }
}

test('a finished pack has its id, its size, and a header from which each blob opens', () => {
  const plaintexts = [Buffer.alloc(5000), random(700), Buffer.from('x')]
  const { file, id, sizeBytes, blobs } = build(plaintexts)
  assert.equal(fileIdOf(file), id)
  assert.equal(file.length, sizeBytes)
  assert.equal(packBytes(blobs), sizeBytes)
  assert.deepEqual(readPackHeader(file, key, 'it'), blobs)
  for (const [i, blob] of blobs.entries()) {
    const sealed = file.subarray(blob.offset, blob.offset + blob.length)
    assert.deepEqual(Buffer.from(openBlob(key, blob, sealed)), Buffer.from(plaintexts[i] ?? []))
  }
})

test('a pack with a gap, a wrong header length, or too short is refused', () => {
  const { file } = build([random(100)])
  const end = file.length - 4
  const withLength = (length: number): Buffer => {
    const copy = Buffer.from(file)
    copy.writeUInt32LE(length, end)
    return copy
  }
  assert.throws(() => readPackHeader(Buffer.concat([Buffer.alloc(5), file]), key, 'it'), isDamage)
  assert.throws(() => readPackHeader(withLength(0xffff_ffff), key, 'it'), isDamage)
  assert.throws(() => readPackHeader(withLength(file.length), key, 'it'), isDamage)
  assert.throws(() => readPackHeader(withLength(31), key, 'it'), isDamage)
  assert.throws(() => readPackHeader(file.subarray(0, 35), key, 'it'), isDamage)
  assert.throws(() => readPackHeader(new Uint8Array(0), key, 'it'), isDamage)
})

test('a pack is full once it reaches its target, and takes nothing more', () => {
  const builder = new PackBuilder('data', key, random)
  const id = blobIdOf(new Uint8Array(1))
  builder.add(id, new Uint8Array(TARGET_PACK_BYTES - 1), 0)
  assert.equal(builder.isFull, false)
  builder.add(id, new Uint8Array(33), 0)
  assert.equal(builder.isFull, true)
  assert.throws(() => builder.add(id, new Uint8Array(33), 0))
})
