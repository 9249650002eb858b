/** Threads that chunks are opened in, which may start before it is known with which key. */

import { WaitingThreads } from '../../base/waiting-threads.ts'
import { startWorker } from '../../base/worker.ts'

/** `count` as `WaitingThreads` has it. */
export class OpenThreads extends WaitingThreads {
  constructor(count?: number) {
    super(() => startWorker('./open-worker', import.meta), count)
  }
}
