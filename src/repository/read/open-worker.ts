/** The thread that opens blobs; open-blobs.ts is what it does. */

import assert from 'node:assert/strict'
import { parentPort } from 'node:worker_threads'
import { answerRequests } from '../../base/thread-pool.ts'
import { MasterKey } from '../format/crypto.ts'
import { openBlobs, writeBlobs, type OpenRequest } from './open-blobs.ts'

const port = parentPort
assert(port !== null, 'this module runs as a worker thread')
port.once('message', (keyBytes: Uint8Array) => {
  const key = new MasterKey(keyBytes)
  answerRequests(port, (request: OpenRequest) => {
    if (request.file === undefined) {
      const plaintexts = openBlobs(key, request)
      return [plaintexts, plaintexts.map((plain) => plain.buffer)]
    }
    writeBlobs(key, request, request.file)
    return ['written', []]
  })
})
