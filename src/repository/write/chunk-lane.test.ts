import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { ChunkLane } from './chunk-lane.ts'
import type { FromChunkWorker } from './chunk-messages.ts'
import { KEY_BYTES } from '../format/crypto.ts'

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

test('a tail that leaves with its buffer is replaced', () => {
  const { lane, sent } = startLane()
  for (let n = 1; n <= 5; n++) {
    lane.receive({ type: 'run', run: n, chunkBytes: MIB, bytes: run(n, 1) })
    lane.receive({ type: 'wanted', run: n, positions: [0] })
    lane.receive({ type: 'tail' })
  }
  assert.equal(sent.filter(({ type }) => type === 'tail').length, 5)
})
