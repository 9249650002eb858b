/** Worker threads that answer requests, seen from the thread that asks and from theirs. */

import type { MessagePort, Worker } from 'node:worker_threads'
import { Fault, isFault } from './fault.ts'
import { faultMessage, faultOfMessage, type FaultMessage } from './fault-message.ts'
import { endThread, receiveUntilEnd } from './worker.ts'

interface Asked<Request> {
  readonly task: number
  readonly request: Request
}

type Answered<Reply> =
  | { readonly task: number; readonly reply: Reply }
  | { readonly task: number; readonly fault: FaultMessage }

interface Lane<Reply> {
  readonly worker: Worker
  readonly tasks: Map<number, PromiseWithResolvers<Reply>>
}

export interface ThreadPoolOptions<Request, Reply> {
  /** Threads at most; at least 1. They are started as they are needed. */
  readonly threads: number
  readonly start: () => Worker
  /** What such a thread does, for its fault: "opens chunks". */
  readonly does: string
  /** How the asking thread answers what is not worth a thread. */
  readonly here?: Here<Request, Reply>
}

export interface Here<Request, Reply> {
  readonly answer: (request: Request) => Reply
  /** Bytes that the answer goes through, in and out. */
  readonly bytesOf: (request: Request) => number
}

/** A thread takes 50 ms of processor time to start; to open so much of a repository takes 20. */
export const MOST_HERE_BYTES = 4 * 2 ** 20

/**
 * Requests go to the least busy thread, which answers with `answerRequests`; with `here`, the first
 * `MOST_HERE_BYTES` of them to none. A thread that dies fails every call from then on.
 */
export class ThreadPool<Request, Reply> implements AsyncDisposable {
  readonly #options: ThreadPoolOptions<Request, Reply>
  readonly #lanes: Lane<Reply>[] = []
  #failure: Fault | undefined
  #lastTask = 0
  #hereBytes = 0

  constructor(options: ThreadPoolOptions<Request, Reply>) {
    this.#options = options
  }

  /** Takes the buffers of `transfer` away. Faults: what the thread says, `worker-failed`. */
  async ask(request: Request, transfer: readonly ArrayBuffer[]): Promise<Reply> {
    if (this.#failure !== undefined) throw this.#failure
    const { here } = this.#options
    if (here !== undefined && this.#hereBytes <= MOST_HERE_BYTES) {
      this.#hereBytes += here.bytesOf(request)
      if (this.#hereBytes <= MOST_HERE_BYTES) return here.answer(request)
    }
    const lane = this.#chooseLane()
    const task = ++this.#lastTask
    const pending = Promise.withResolvers<Reply>()
    lane.tasks.set(task, pending)
    lane.worker.postMessage({ task, request } satisfies Asked<Request>, transfer)
    return pending.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new Fault('interrupted', 'the reading was ended'))
    await Promise.all(this.#lanes.map((lane) => endThread(lane.worker)))
  }

  #chooseLane(): Lane<Reply> {
    const [first, ...others] = this.#lanes
    if (first === undefined) return this.#startLane()
    const best = others.reduce((best, other) =>
      other.tasks.size < best.tasks.size ? other : best, first)
    const startsOne = best.tasks.size > 0 && this.#lanes.length < this.#options.threads
    return startsOne ? this.#startLane() : best
  }

  #startLane(): Lane<Reply> {
    const worker = this.#options.start()
    const lane: Lane<Reply> = { worker, tasks: new Map() }
    const died = (cause: unknown): void => this.#fail(new Fault(
      'worker-failed', `a worker thread that ${this.#options.does} ended unexpectedly`, {
        cause, retry: 'later', advice: 'Look at free memory; if it happens again, report it.' }))
    worker.on('message', (answer: Answered<Reply>) => receive(lane, answer))
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

function receive<Reply>(lane: Lane<Reply>, answer: Answered<Reply>): void {
  const pending = lane.tasks.get(answer.task)
  lane.tasks.delete(answer.task)
  if ('reply' in answer) pending?.resolve(answer.reply)
  else pending?.reject(faultOfMessage(answer.fault))
}

/**
 * Answers a `ThreadPool`, within its thread: `answer` gives the reply, and the buffers in it that
 * are handed over. Its Faults are passed on; anything else ends the thread.
 */
export function answerRequests(
  port: MessagePort,
  answer: (request: never) => readonly [reply: unknown, transfer: readonly ArrayBuffer[]],
): void {
  receiveUntilEnd(port, ({ task, request }: Asked<never>) => {
    try {
      const [reply, transfer] = answer(request)
      port.postMessage({ task, reply } satisfies Answered<unknown>, transfer)
    } catch (error) {
      if (!isFault(error)) throw error
      port.postMessage({ task, fault: faultMessage(error) } satisfies Answered<unknown>)
    }
  })
}
