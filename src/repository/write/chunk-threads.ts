/** Threads that chunks are sealed in, which may start before it is known with which key. */

import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../base/worker.ts'

/** More help only where much is written, and are started then. */
const MOST_WAITING = 2

/**
 * Threads that wait for work. The first takes a tenth of a second to start, which goes by while the
 * password is tried. Dispose it: those that nobody took end.
 */
export class ChunkThreads implements AsyncDisposable {
  readonly #waiting = new Set<Worker>()

  /** Starts `count` of them, by default two or as many as there are cores. */
  constructor(count = Math.min(MOST_WAITING, availableParallelism())) {
    for (let at = 0; at < count; at++) this.#start()
  }

  /** One that waits for its settings, else a new one. Whoever takes it terminates it. */
  take(): Worker {
    const [worker] = this.#waiting
    if (worker === undefined) return startChunkWorker()
    this.#waiting.delete(worker)
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#waiting].map((worker) => worker.terminate()))
  }

  /** One that ends while it waits is not missed: the next one that starts says why. */
  #start(): void {
    const worker = startChunkWorker()
    const forget = (): void => void this.#waiting.delete(worker)
    worker.on('error', forget)
    worker.on('exit', forget)
    this.#waiting.add(worker)
  }
}

function startChunkWorker(): Worker {
  return startWorker('./chunk-worker', import.meta)
}
