/** The thread of a chunk lane; chunk-lane.ts is what it does. */

import assert from 'node:assert/strict'
import { parentPort } from 'node:worker_threads'
import { systemRandom } from '../../base/random.ts'
import { receiveUntilEnd } from '../../base/worker.ts'
import { ChunkLane } from './chunk-lane.ts'
import type { ToChunkWorker } from './chunk-messages.ts'

const port = parentPort
assert(port !== null, 'this module runs as a worker thread')
let lane: ChunkLane | undefined
receiveUntilEnd(port, (message: ToChunkWorker) => {
  if (message.type === 'settings') {
    lane = new ChunkLane(message, systemRandom,
      (message, transfer) => port.postMessage(message, transfer))
  } else {
    assert(lane !== undefined, 'the settings come first')
    lane.receive(message)
  }
})
