/** A thread that answers as it is told: for tests of `ThreadPool`. */

import assert from 'node:assert/strict'
import { parentPort } from 'node:worker_threads'
import { Fault } from '../fault.ts'
import { answerRequests } from '../thread-pool.ts'

export type EchoRequest = { readonly bytes: Uint8Array<ArrayBuffer> } | 'fault' | 'die'

assert(parentPort !== null, 'this module runs as a worker thread')
answerRequests(parentPort, (request: EchoRequest) => {
  if (request === 'die') process.exit(7)
  if (request === 'fault') throw new Fault('repository-damaged', 'as asked')
  return [request.bytes, [request.bytes.buffer]]
})
