import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { sealBlob } from '../format/blob.ts'
import { KEY_BYTES, MasterKey } from '../format/crypto.ts'
import { blobIdOf } from '../format/id.ts'
import { startOpenPool } from './open-blobs.ts'

test('a copy of what is opened is its own, also if no thread opened it', async () => {
  const key = new MasterKey(seededRandom(1)(KEY_BYTES))
  const plain = new Uint8Array(512 * 1024).fill(7)
  const { sealed, uncompressedLength } = sealBlob(key, plain, systemRandom)
  await using pool = startOpenPool(key, 1)
  const [opened] = await pool.ask({ bytes: sealed, blobs: [{
    kind: 'data', id: blobIdOf(plain), uncompressedLength, offset: 0, length: sealed.length }] },
  [sealed.buffer])
  assert.ok(opened !== undefined)
  assert.notEqual(opened.slice().buffer, opened.buffer)
})
