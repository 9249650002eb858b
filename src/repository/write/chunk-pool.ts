/** The threads that hash, compress and seal chunks, seen from the thread that reads and stores. */

import type { Worker } from 'node:worker_threads'
import { Fault } from '../../base/fault.ts'
import { faultOfMessage } from '../../base/fault-message.ts'
import { endThread } from '../../base/worker.ts'
import type {
  ChunkWorkerSettings, FromChunkWorker, PackTail, ToChunkWorker,
} from './chunk-messages.ts'
import type { HashedRun } from './chunk-hasher.ts'
import type { ChunkThreads } from './chunk-threads.ts'
import type { BlobId } from '../format/id.ts'
import type { FinishedPack } from '../format/pack.ts'

export interface ChunkPoolOptions extends ChunkWorkerSettings {
  /** How many threads at most; at least 1. */
  readonly workers: number
  /** Where they come from; it stays the caller's. */
  readonly threads: ChunkThreads
  /** True once for each id that is to be stored: the caller notes it as taken. */
  readonly claim: (id: BlobId) => boolean
  /** Makes a pack durable. Its buffers are used again once this resolves. */
  readonly storePack: (pack: FinishedPack) => Promise<void>
  /** Told once, of the first thing that goes wrong. */
  readonly onFailure: (error: unknown) => void
}

interface Lane {
  readonly worker: Worker
  /** Runs sent and not done. */
  readonly runs: Map<number, PendingRun>
  tail: PromiseWithResolvers<PackTail> | undefined
}

/** A run whose new chunks are in packs. */
export interface AddedRun extends HashedRun {
  /** What the run lay in, for the next one. */
  readonly memory: ArrayBuffer
}

interface PendingRun extends PromiseWithResolvers<AddedRun> {
  hashed: HashedRun | undefined
}

/**
 * Runs go in, packs come out. The first thing that goes wrong (a thread that ends, a chunk that
 * cannot be read back, a pack that cannot be stored) fails every call under way and all later ones.
 */
export class ChunkPool implements AsyncDisposable {
  readonly #options: ChunkPoolOptions
  readonly #settings: ToChunkWorker
  readonly #lanes: Lane[] = []
  readonly #storing = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined = undefined
  #lastRun = 0

  constructor(options: ChunkPoolOptions) {
    this.#options = options
    const { key, zstdLevel, verify } = options
    this.#settings = { type: 'settings', key, zstdLevel, verify }
  }

  /**
   * Cuts `bytes` into chunks of `chunkBytes` and stores the new ones. Takes the buffer away from
   * the caller, who finds it in the result. Resolves when all of them are in packs, which are
   * durable after `finish` only.
   */
  add(bytes: Uint8Array<ArrayBuffer>, chunkBytes: number): Promise<AddedRun> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    const lane = this.#chooseLane()
    const run = ++this.#lastRun
    const pending: PendingRun = { ...Promise.withResolvers<AddedRun>(), hashed: undefined }
    lane.runs.set(run, pending)
    post(lane, { type: 'run', run, chunkBytes, bytes }, [bytes.buffer])
    return pending.promise
  }

  /** Waits until all full packs are stored; returns the blobs that filled none. */
  async finish(): Promise<readonly PackTail[]> {
    this.#throwIfFailed()
    const tails = await Promise.all(this.#lanes.map((lane) => {
      lane.tail = Promise.withResolvers<PackTail>()
      post(lane, { type: 'tail' })
      return lane.tail.promise
    }))
    await Promise.all(this.#storing)
    this.#throwIfFailed()
    return tails.filter((tail) => tail.blobs.length > 0)
  }

  /** Fails every call with `error`; the threads end with `asyncDispose`. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = { error }
    this.#options.onFailure(error)
    for (const lane of this.#lanes) {
      for (const pending of lane.runs.values()) pending.reject(error)
      lane.runs.clear()
      lane.tail?.reject(error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fail(new Fault('interrupted', 'the write session was closed'))
    await Promise.all(this.#lanes.map((lane) => endThread(lane.worker)))
    await Promise.allSettled(this.#storing)
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** The least busy one. Threads are started as they are needed: a small run needs but one. */
  #chooseLane(): Lane {
    const [first, ...others] = this.#lanes
    if (first === undefined) return this.#startLane()
    const best = others.reduce((best, other) =>
      other.runs.size < best.runs.size ? other : best, first)
    const startsOne = best.runs.size > 0 && this.#lanes.length < this.#options.workers
    return startsOne ? this.#startLane() : best
  }

  #startLane(): Lane {
    const worker = this.#options.threads.take()
    const lane: Lane = { worker, runs: new Map(), tail: undefined }
    post(lane, this.#settings)
    worker.on('message', (message: FromChunkWorker) => this.#receive(lane, message))
    worker.on('error', (cause) => this.fail(workerFault(cause)))
    worker.on('exit', (code) => this.fail(workerFault(new Error(`it ended with code ${code}`))))
    this.#lanes.push(lane)
    return lane
  }

  #receive(lane: Lane, message: FromChunkWorker): void {
    if (this.#failure !== undefined) return
    switch (message.type) {
      case 'ids': {
        const { run, ids, zeroChunks } = message
        const pending = lane.runs.get(run)
        if (pending === undefined) return
        pending.hashed = { ids, zeroChunks }
        const positions = ids.flatMap((id, at) => (this.#options.claim(id) ? [at] : []))
        return post(lane, { type: 'wanted', run, positions })
      }
      case 'done': {
        const pending = lane.runs.get(message.run)
        lane.runs.delete(message.run)
        const { memory } = message
        if (pending?.hashed !== undefined) pending.resolve({ ...pending.hashed, memory })
        return
      }
      case 'pack':
        return this.#store(lane, message.pack)
      case 'tail':
        return lane.tail?.resolve(message.tail)
      case 'failed':
        return this.fail(faultOfMessage(message.fault))
      default:
        message satisfies never
    }
  }

  #store(lane: Lane, pack: FinishedPack): void {
    const storing = this.#options.storePack(pack).then(
      () => {
        const buffer = pack.parts[0]?.buffer
        if (this.#failure !== undefined || !(buffer instanceof ArrayBuffer)) return
        post(lane, { type: 'buffer', buffer }, [buffer])
      },
      (error: unknown) => this.fail(error),
    ).finally(() => this.#storing.delete(storing))
    this.#storing.add(storing)
  }
}

function post(lane: Lane, message: ToChunkWorker, transfer: readonly ArrayBuffer[] = []): void {
  lane.worker.postMessage(message, transfer)
}

function workerFault(cause: unknown): Fault {
  return new Fault('worker-failed', 'a worker thread that seals chunks ended unexpectedly', {
    cause, retry: 'later', advice: 'Look at free memory; if it happens again, report it.' })
}
