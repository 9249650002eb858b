/** The thread that opens blobs; open-messages.ts is what it does. */

import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { MasterKey } from '../format/crypto.ts'
import { answerOpen, type OpenRequest } from './open-messages.ts'

const port = parentPort
assert(port !== null, 'this module runs as a worker thread')
const key = new MasterKey(workerData as Uint8Array)
port.on('message', (request: OpenRequest) => {
  const reply = answerOpen(key, request)
  const plaintexts = 'plaintexts' in reply ? reply.plaintexts : []
  port.postMessage(reply, plaintexts.map((plain) => plain.buffer))
})
