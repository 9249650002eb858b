/** Threads that chunks are sealed in, which may start before it is known with which key. */

import { WaitingThreads } from '../../base/waiting-threads.ts'
import { startWorker } from '../../base/worker.ts'

/** `count` as `WaitingThreads` has it. */
export class ChunkThreads extends WaitingThreads {
  constructor(count?: number) {
    super(() => startWorker('./chunk-worker', import.meta), count)
  }
}
