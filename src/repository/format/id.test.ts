import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../base/fault.ts'
import { blobIdFromBytes, blobIdOf, idBytes, parseBlobId, writeId } from './id.ts'

test('an id is the SHA-256 in lowercase hexadecimal, and survives its binary form', () => {
  const id = blobIdOf(Buffer.from('abc')) // FIPS 180-2, appendix B.1
  assert.equal(id, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  assert.equal(blobIdFromBytes(idBytes(id)), id)
  const within = new Uint8Array(40).subarray(3)
  writeId(within, 2, id)
  assert.equal(blobIdFromBytes(within, 2), id)
  assert.throws(() => blobIdFromBytes(within, 6), RangeError)
})

test('what does not spell an id is refused', () => {
  const good = 'ab'.repeat(32)
  assert.equal(parseBlobId(good, 'it'), good)
  const table = [good.toUpperCase(), good.slice(1), `${good}0`, `${good}\n`, '', null, 7, [good]]
  for (const bad of table) {
    assert.throws(() => parseBlobId(bad, 'it'), (error) => isFault(error, 'repository-damaged'))
  }
})
