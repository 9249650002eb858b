/** The thread that checks packs; check-pack.ts is what it does. */

import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { answerRequests } from '../../base/thread-pool.ts'
import { MasterKey } from '../format/crypto.ts'
import { checkPack, type PackRequest } from './check-pack.ts'

assert(parentPort !== null, 'this module runs as a worker thread')
const key = new MasterKey(workerData as Uint8Array)
answerRequests(parentPort, (request: PackRequest) => [checkPack(key, request), []])
