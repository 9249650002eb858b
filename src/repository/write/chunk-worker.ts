/** The thread of a chunk lane; chunk-lane.ts is what it does. */

import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { systemRandom } from '../../base/random.ts'
import { ChunkLane } from './chunk-lane.ts'
import type { ChunkWorkerSettings, ToChunkWorker } from './chunk-messages.ts'

const port = parentPort
assert(port !== null, 'this module runs as a worker thread')
const lane = new ChunkLane(workerData as ChunkWorkerSettings, systemRandom,
  (message, transfer) => port.postMessage(message, transfer))
port.on('message', (message: ToChunkWorker) => lane.receive(message))
