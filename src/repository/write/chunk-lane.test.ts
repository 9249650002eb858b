import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { ChunkLane } from './chunk-lane.ts'
import type { FromChunkWorker } from './chunk-messages.ts'
import { openBlob } from '../format/blob.ts'
import { KEY_BYTES, MasterKey } from '../format/crypto.ts'
import { blobIdOf } from '../format/id.ts'

const MIB = 1024 * 1024
const settings = { key: seededRandom(1)(KEY_BYTES), zstdLevel: 3, verify: false }

function startLane(): { lane: ChunkLane; sent: FromChunkWorker[] } {
  const sent: FromChunkWorker[] = []
  const lane = new ChunkLane(settings, systemRandom, (message) => sent.push(message))
  return { lane, sent }
}

const typesOf = (sent: readonly FromChunkWorker[]): string =>
  sent.map((message) => message.type).join(' ')

function run(seed: number, mib: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(seededRandom(seed)(mib * MIB))
}

test('runs are hashed as they come, and sealed once it is known which chunks are wanted', () => {
  const { lane, sent } = startLane()
  lane.receive({ type: 'run', run: 1, chunkBytes: MIB, bytes: run(1, 2) })
  lane.receive({ type: 'run', run: 2, chunkBytes: MIB, bytes: run(2, 2) })
  assert.equal(typesOf(sent), 'ids ids')
  lane.receive({ type: 'wanted', run: 1, positions: [1] })
  lane.receive({ type: 'wanted', run: 2, positions: [] })
  lane.receive({ type: 'tail' })
  assert.equal(typesOf(sent), 'ids ids done done tail')
  const tail = sent.at(-1)
  const ids = sent[0]
  assert.ok(tail?.type === 'tail' && ids?.type === 'ids')
  assert.deepEqual(tail.tail.blobs.map(({ id }) => id), [ids.ids[1]])
})

test('without a buffer it waits within a run, and goes on when one comes back', () => {
  const { lane, sent } = startLane()
  lane.receive({ type: 'run', run: 1, chunkBytes: 7 * MIB, bytes: run(1, 63) })
  lane.receive({ type: 'wanted', run: 1, positions: [0, 1, 2, 3, 4, 5, 6, 7, 8] })
  lane.receive({ type: 'tail' })
  // Two chunks of 7 MiB fill a pack, and there are three buffers.
  assert.equal(typesOf(sent), 'ids pack pack pack')
  const first = sent[1]
  assert.ok(first?.type === 'pack')
  const buffer = first.pack.parts[0]?.buffer
  assert.ok(buffer instanceof ArrayBuffer)
  lane.receive({ type: 'buffer', buffer })
  assert.equal(typesOf(sent), 'ids pack pack pack pack')
  lane.receive({ type: 'buffer', buffer })
  assert.equal(typesOf(sent), 'ids pack pack pack pack done tail')
  const tail = sent.at(-1)
  assert.ok(tail?.type === 'tail')
  assert.equal(tail.tail.blobs.length, 1)
})

test('a lane that reads back seals ahead while all is new, and stores what is wanted', () => {
  const sent: FromChunkWorker[] = []
  const lane = new ChunkLane(
    { ...settings, verify: true }, systemRandom, (message) => sent.push(message))
  const zeros = new Uint8Array(4096)
  for (let n = 1; n <= 30; n++) {
    // Four new chunks and one of zeros, which is wanted once; two of some runs are known.
    const bytes = new Uint8Array([...seededRandom(n)(4 * 4096), ...zeros])
    lane.receive({ type: 'run', run: n, chunkBytes: 4096, bytes })
    const positions = n === 1 ? [0, 1, 2, 3, 4] : n % 15 === 0 ? [1, 3] : [0, 1, 2, 3]
    lane.receive({ type: 'wanted', run: n, positions })
  }
  lane.receive({ type: 'tail' })
  const tail = sent.at(-1)
  assert.ok(tail?.type === 'tail')
  const key = new MasterKey(settings.key)
  const ids = tail.tail.blobs.map((blob) => {
    const sealed = tail.tail.bytes.subarray(blob.offset, blob.offset + blob.length)
    return blobIdOf(openBlob(key, blob, sealed))
  })
  assert.deepEqual(ids, tail.tail.blobs.map(({ id }) => id))
  assert.equal(ids.length, 28 * 4 + 1 + 2 * 2)
  const runs = sent.filter((message) => message.type === 'ids')
  assert.deepEqual(ids.slice(-2), [runs.at(-1)?.ids[1], runs.at(-1)?.ids[3]])
  const used = sent.filter((message) => message.type === 'done').map(({ memory }) => memory)
  assert.equal(new Set(used).size, 30)
})

test('a tail that leaves with its buffer is replaced', () => {
  const { lane, sent } = startLane()
  for (let n = 1; n <= 5; n++) {
    lane.receive({ type: 'run', run: n, chunkBytes: MIB, bytes: run(n, 1) })
    lane.receive({ type: 'wanted', run: n, positions: [0] })
    lane.receive({ type: 'tail' })
  }
  assert.equal(sent.filter(({ type }) => type === 'tail').length, 5)
})
