import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { MAX_BLOB_BYTES, openBlob, plaintextLength, sealBlob } from './blob.ts'
import { MasterKey } from './crypto.ts'
import { blobIdOf } from './id.ts'
import { zstdCompress, zstdDecompress } from './zstd.ts'

const random = seededRandom(7)
const key = new MasterKey(random(64))
const isDamage = (error: unknown): boolean => isFault(error, 'repository-damaged')

test('a sealed blob opens to its plaintext, compressed only if that is smaller', () => {
  const anyBlob = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 3000 }),
    fc.tuple(fc.string({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 500 }))
      .map(([text, times]) => new TextEncoder().encode(text.repeat(times))),
  )
  fc.assert(fc.property(anyBlob, (plaintext) => {
    const { sealed, uncompressedLength } = sealBlob(key, plaintext, random)
    const blob = { kind: 'data', id: blobIdOf(plaintext), uncompressedLength } as const
    const opened = openBlob(key, blob, sealed)
    assert.deepEqual(new Uint8Array(opened), plaintext)
    assert.ok(sealed.length <= plaintext.length + 32)
    assert.equal(uncompressedLength > 0, sealed.length < plaintext.length + 32)
    assert.equal(plaintextLength({ length: sealed.length, uncompressedLength }), plaintext.length)
  }))
})

test('a blob with other content than its id is refused, compressed or not', () => {
  const id = blobIdOf(Buffer.from('another'))
  for (const plaintext of [Buffer.alloc(1000), random(1000)]) {
    const { sealed, uncompressedLength } = sealBlob(key, plaintext, random)
    assert.throws(() => openBlob(key, { kind: 'data', id, uncompressedLength }, sealed), isDamage)
  }
})

test('a blob that decompresses to more or less than it says is refused', () => {
  const plaintext = new Uint8Array(100_000)
  const { sealed } = sealBlob(key, plaintext, random)
  const id = blobIdOf(plaintext)
  for (const uncompressedLength of [0, 1, 99_999, 100_001, MAX_BLOB_BYTES, MAX_BLOB_BYTES + 1]) {
    const blob = { kind: 'data', id, uncompressedLength } as const
    assert.throws(() => openBlob(key, blob, sealed), isDamage, `${uncompressedLength}`)
  }
})

test('a small frame that claims gigabytes takes no more memory than was allowed', () => {
  const bomb = zstdCompress(new Uint8Array(64 * 1024 * 1024))
  assert.ok(bomb.length < 10_000)
  assert.throws(() => zstdDecompress(bomb, 1024, 'it'), isDamage)
  const cut = bomb.subarray(0, bomb.length - 1)
  for (const bad of [cut, new Uint8Array(0), Buffer.from('not zstd')]) {
    assert.throws(() => zstdDecompress(bad, 64 * 1024 * 1024, 'it'), isDamage)
  }
})

test('an empty or too long blob cannot be sealed', () => {
  assert.throws(() => sealBlob(key, new Uint8Array(0), random), RangeError)
})
