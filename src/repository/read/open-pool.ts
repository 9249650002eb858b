/** The threads that open and decompress blobs, seen from the thread that reads the store. */

import type { Worker } from 'node:worker_threads'
import { Fault } from '../../base/fault.ts'
import { startWorker } from '../../base/worker.ts'
import type { MasterKey } from '../format/crypto.ts'
import type { BlobInRange, OpenReply, OpenRequest } from './open-messages.ts'

type Plaintexts = readonly Uint8Array<ArrayBuffer>[]

interface Lane {
  readonly worker: Worker
  readonly tasks: Map<number, PromiseWithResolvers<Plaintexts>>
}

/** Sealed ranges go in, plaintexts come out. A thread that dies fails every call from then on. */
export class OpenPool implements AsyncDisposable {
  readonly #key: Uint8Array
  readonly #workers: number
  readonly #lanes: Lane[] = []
  #failure: Fault | undefined
  #lastTask = 0

  /** `workers` threads at most; at least 1. */
  constructor(key: MasterKey, workers: number) {
    this.#key = key.toBytes()
    this.#workers = workers
  }

  /** Takes the buffer of `bytes` away. Faults: `repository-damaged`, `worker-failed`. */
  async open(bytes: Uint8Array<ArrayBuffer>, blobs: readonly BlobInRange[]): Promise<Plaintexts> {
    if (this.#failure !== undefined) throw this.#failure
    const lane = this.#chooseLane()
    const task = ++this.#lastTask
    const pending = Promise.withResolvers<Plaintexts>()
    lane.tasks.set(task, pending)
    const request: OpenRequest = { task, bytes, blobs }
    lane.worker.postMessage(request, [bytes.buffer])
    return pending.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new Fault('interrupted', 'the reading was ended'))
    await Promise.all(this.#lanes.map((lane) => lane.worker.terminate()))
  }

  /** The least busy one; threads are started as they are needed. */
  #chooseLane(): Lane {
    const [first, ...others] = this.#lanes
    if (first === undefined) return this.#startLane()
    const best = others.reduce((best, other) =>
      other.tasks.size < best.tasks.size ? other : best, first)
    const startsOne = best.tasks.size > 0 && this.#lanes.length < this.#workers
    return startsOne ? this.#startLane() : best
  }

  #startLane(): Lane {
    const worker = startWorker('./open-worker', import.meta, { workerData: this.#key })
    const lane: Lane = { worker, tasks: new Map() }
    const died = (cause: unknown): void => this.#fail(
      new Fault('worker-failed', 'a worker thread that opens chunks ended unexpectedly', {
        cause, retry: 'later', advice: 'Look at free memory; if it happens again, report it.' }))
    worker.on('message', (reply: OpenReply) => receive(lane, reply))
    worker.on('error', died)
    worker.on('exit', (code) => died(new Error(`it ended with code ${code}`)))
    this.#lanes.push(lane)
    return lane
  }

  #fail(fault: Fault): void {
    if (this.#failure !== undefined) return
    this.#failure = fault
    for (const { tasks } of this.#lanes) {
      for (const pending of tasks.values()) pending.reject(fault)
      tasks.clear()
    }
  }
}

function receive(lane: Lane, reply: OpenReply): void {
  const pending = lane.tasks.get(reply.task)
  lane.tasks.delete(reply.task)
  if ('plaintexts' in reply) pending?.resolve(reply.plaintexts)
  else pending?.reject(new Fault(reply.code, reply.message))
}
