/** The thread that opens blobs; open-blobs.ts is what it does. */

import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { answerRequests } from '../../base/thread-pool.ts'
import { MasterKey } from '../format/crypto.ts'
import { openBlobs, type OpenRequest } from './open-blobs.ts'

assert(parentPort !== null, 'this module runs as a worker thread')
const key = new MasterKey(workerData as Uint8Array)
answerRequests(parentPort, (request: OpenRequest) => {
  const plaintexts = openBlobs(key, request)
  return [plaintexts, plaintexts.map((plain) => plain.buffer)]
})
