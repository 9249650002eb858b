import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { openBlob } from '../format/blob.ts'
import { KEY_BYTES, MasterKey } from '../format/crypto.ts'
import { blobIdOf } from '../format/id.ts'
import { zstdCompress } from '../format/zstd.ts'
import { SealAhead } from './seal-ahead.ts'

const key = new MasterKey(seededRandom(1)(KEY_BYTES))
const tools = { key, random: systemRandom, compress: zstdCompress }
const CHUNK = 4096

test('after a known chunk none are sealed ahead, until many new ones came in a row', () => {
  const ahead = new SealAhead(tools)
  assert.ok(ahead.begin(CHUNK, 1) !== undefined)
  ahead.end(undefined, 8, 7)
  assert.equal(ahead.begin(CHUNK, 1), undefined)
  ahead.end(undefined, 63, 63)
  assert.equal(ahead.begin(CHUNK, 1), undefined)
  ahead.end(undefined, 1, 1)
  assert.ok(ahead.begin(CHUNK, 1) !== undefined)
})

test('what is sealed ahead has the name of its content, and opens', () => {
  const ahead = new SealAhead(tools)
  const chunks = [seededRandom(1)(CHUNK), new Uint8Array(CHUNK).fill(7), seededRandom(2)(CHUNK)]
  const run = ahead.begin(3 * CHUNK, 3)
  assert.ok(run !== undefined)
  const ids = chunks.map((chunk, at) => run.nameOf(chunk, at))
  assert.deepEqual(ids, chunks.map(blobIdOf))
  for (const [at, id] of ids.entries()) {
    const { sealed, uncompressedLength } = run.sealed[at] ?? assert.fail()
    const plain = openBlob(key, { kind: 'data', id, uncompressedLength }, sealed)
    assert.deepEqual(Buffer.from(plain), Buffer.from(chunks[at] ?? []))
  }
})

test('the room of a run that is done is used again where it is long enough', () => {
  const ahead = new SealAhead(tools)
  const first = ahead.begin(2 * CHUNK, 2) ?? assert.fail()
  ahead.end(first, 2, 2)
  assert.equal(ahead.begin(CHUNK, 1)?.room, first.room)
  ahead.end(first, 2, 2)
  assert.notEqual(ahead.begin(3 * CHUNK, 3)?.room, first.room)
})

/** Memory that flips a bit of the chunk itself while it is sealed. */
class FlippingKey extends MasterKey {
  chunk: Uint8Array = new Uint8Array(0)

  override sealInto(...args: Parameters<MasterKey['sealInto']>): void {
    super.sealInto(...args)
    this.chunk[9] = (this.chunk[9] ?? 0) ^ 1
  }
}

test('a bit that flips between sealing and naming is found', () => {
  const flipping = new FlippingKey(seededRandom(1)(KEY_BYTES))
  const run = new SealAhead({ ...tools, key: flipping }).begin(2 * CHUNK, 2)
  const chunk = seededRandom(3)(CHUNK)
  assert.equal(run?.nameOf(chunk, 0), blobIdOf(chunk))
  flipping.chunk = chunk
  assert.throws(() => run?.nameOf(chunk, 1), { code: 'worker-failed' })
})
