/** Worker threads that start before there is work for them. */

import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'

/** More help only where there is much to do, and are started then. */
const MOST_WAITING = 2

/**
 * Threads that wait for their first message. One takes a tenth of a second to start, which goes by
 * while something else, such as a password, is tried. Dispose it: those that nobody took end.
 */
export class WaitingThreads implements AsyncDisposable {
  readonly #startThread: () => Worker
  readonly #waiting = new Set<Worker>()

  /** Starts `count` of them, by default two or as many as there are cores. */
  constructor(startThread: () => Worker, count = Math.min(MOST_WAITING, availableParallelism())) {
    this.#startThread = startThread
    for (let at = 0; at < count; at++) this.#start()
  }

  /** One that waits, else a new one. Whoever takes it ends it (`endThread`). */
  take(): Worker {
    const [worker] = this.#waiting
    if (worker === undefined) return this.#startThread()
    this.#waiting.delete(worker)
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // They do nothing yet that must not be stopped.
    await Promise.all([...this.#waiting].map((worker) => worker.terminate()))
  }

  /** One that ends while it waits is not missed: the next one that starts says why. */
  #start(): void {
    const worker = this.#startThread()
    const forget = (): void => void this.#waiting.delete(worker)
    worker.on('error', forget)
    worker.on('exit', forget)
    this.#waiting.add(worker)
  }
}
