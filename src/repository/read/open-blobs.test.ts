import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { sealBlob } from '../format/blob.ts'
import { KEY_BYTES, MasterKey } from '../format/crypto.ts'
import { blobIdOf } from '../format/id.ts'
import { openBlobs } from './open-blobs.ts'

test('a copy of what is opened is its own', () => {
  const key = new MasterKey(seededRandom(1)(KEY_BYTES))
  const plain = new Uint8Array(512 * 1024).fill(7)
  const { sealed, uncompressedLength } = sealBlob(key, plain, systemRandom)
  const [opened] = openBlobs(key, { bytes: sealed, file: undefined, blobs: [{
    kind: 'data', id: blobIdOf(plain), uncompressedLength, offset: 0, length: sealed.length,
    places: [0] }] })
  assert.ok(opened !== undefined)
  assert.notEqual(opened.slice().buffer, opened.buffer)
})
