/** A thread that does nothing but make objects of zstd: for tests of how threads are ended. */

import assert from 'node:assert/strict'
import { parentPort } from 'node:worker_threads'
import { zstdCompressSync } from 'node:zlib'
import { answerRequests } from '../thread-pool.ts'

const bytes = new Uint8Array(64)

assert(parentPort !== null, 'this module runs as a worker thread')
answerRequests(parentPort, (count: number) => {
  for (let n = 0; n < count; n++) zstdCompressSync(bytes)
  return [count, []]
})
