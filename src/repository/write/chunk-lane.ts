/**
 * What a chunk worker does with its messages: runs are hashed as they come, sealed as the answers
 * come, in order. Knows no thread, so that tests can drive it.
 */

import assert from 'node:assert/strict'
import { isFault } from '../../base/fault.ts'
import { faultMessage } from '../../base/fault-message.ts'
import type { RandomBytes } from '../../base/random.ts'
import type { ChunkWorkerSettings, FromChunkWorker, ToChunkLane } from './chunk-messages.ts'
import { ChunkHasher, cutRun } from './chunk-hasher.ts'
import { ChunkSealer, PACK_BUFFER_BYTES } from './chunk-sealer.ts'
import { MasterKey } from '../format/crypto.ts'
import type { BlobId } from '../format/id.ts'
import { zstdCompress } from '../format/zstd.ts'
import { LevelChooser } from './level-chooser.ts'
import { SealAhead, type SealedAhead } from './seal-ahead.ts'

/**
 * Pack buffers of one worker: one is being filled while others are on their way to the store. The
 * worker waits for one to come back, which is how a slow store slows everything down.
 */
const PACK_BUFFERS = 3

interface NamedChunks {
  /** What the chunks lie in. */
  readonly memory: ArrayBuffer
  readonly chunks: readonly Uint8Array<ArrayBuffer>[]
  readonly ids: readonly BlobId[]
  readonly zeroChunks: number
  /** If they were sealed without waiting for the answer. */
  readonly ahead: SealedAhead | undefined
}

type Job =
  | { readonly type: 'seal'; readonly run: number; readonly positions: readonly number[] }
  | { readonly type: 'tail' }

export class ChunkLane {
  readonly #send: (message: FromChunkWorker, transfer: readonly ArrayBuffer[]) => void
  readonly #hasher = new ChunkHasher()
  readonly #sealer: ChunkSealer
  /** Undefined where nothing is read back: then it would save nothing. */
  readonly #ahead: SealAhead | undefined
  /** Named runs whose answer is not here or whose turn has not come. */
  readonly #runs = new Map<number, NamedChunks>()
  readonly #jobs: Job[] = []
  readonly #freeBuffers: ArrayBuffer[] = []
  #buffersMade = 0
  /** Position within the first job, which waits there while no buffer is free. */
  #next = 0

  /** `send` gives away the buffers in `transfer`. */
  constructor(
    settings: ChunkWorkerSettings,
    random: RandomBytes,
    send: (message: FromChunkWorker, transfer: readonly ArrayBuffer[]) => void,
  ) {
    const { key, zstdLevel, verify } = settings
    const chooser = new LevelChooser()
    const tools = { key: new MasterKey(key), random,
      compress: (chunk: Uint8Array) => zstdLevel === undefined ? chooser.compress(chunk)
        : zstdCompress(chunk, zstdLevel) }
    this.#sealer = new ChunkSealer(tools, { verify })
    this.#ahead = verify ? new SealAhead(tools) : undefined
    this.#send = send
  }

  receive(message: ToChunkLane): void {
    try {
      this.#handle(message)
      this.#work()
    } catch (error) {
      if (!isFault(error)) throw error
      this.#send({ type: 'failed', fault: faultMessage(error) }, [])
    }
  }

  #handle(message: ToChunkLane): void {
    switch (message.type) {
      case 'run': {
        const { run, bytes, chunkBytes } = message
        const chunks = cutRun(bytes, chunkBytes)
        const ahead = this.#ahead?.begin(bytes.length, chunks.length)
        const { ids, zeroChunks } = this.#hasher.hash(chunks, chunkBytes, ahead?.nameOf)
        this.#runs.set(run, { memory: bytes.buffer, chunks, ids, zeroChunks, ahead })
        return this.#send({ type: 'ids', run, ids, zeroChunks }, [])
      }
      case 'wanted':
        this.#jobs.push({ type: 'seal', run: message.run, positions: message.positions })
        return
      case 'buffer':
        this.#freeBuffers.push(message.buffer)
        return
      case 'tail':
        this.#jobs.push({ type: 'tail' })
        return
      default:
        message satisfies never
    }
  }

  /** Goes on with the jobs until they are done or no buffer is free. */
  #work(): void {
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      if (job.type === 'tail') this.#sendTail()
      else if (!this.#seal(job.run, job.positions)) return
      this.#jobs.shift()
      this.#next = 0
    }
  }

  /** False if it had to stop for want of a buffer. */
  #seal(run: number, positions: readonly number[]): boolean {
    const named = this.#runs.get(run)
    assert(named !== undefined)
    for (; this.#next < positions.length; this.#next++) {
      const position = positions[this.#next] ?? -1
      const [id, chunk] = [named.ids[position], named.chunks[position]]
      assert(id !== undefined && chunk !== undefined)
      const sealed = named.ahead?.sealed[position]
      const pack = this.#sealer.takeFull(sealed?.sealed.length ?? chunk.length)
      if (pack !== undefined) this.#send({ type: 'pack', pack }, buffersOf(pack.parts.slice(0, 1)))
      if (this.#sealer.needsBuffer && !this.#takeBuffer()) return false
      if (sealed === undefined) this.#sealer.add(id, chunk)
      else this.#sealer.addSealed(id, sealed)
    }
    this.#runs.delete(run)
    this.#ahead?.end(named.ahead, named.ids.length - named.zeroChunks, positions.length)
    this.#send({ type: 'done', run, memory: named.memory }, [named.memory])
    return true
  }

  #takeBuffer(): boolean {
    const buffer = this.#freeBuffers.pop() ?? this.#makeBuffer()
    if (buffer === undefined) return false
    this.#sealer.useBuffer(buffer)
    return true
  }

  #makeBuffer(): ArrayBuffer | undefined {
    if (this.#buffersMade === PACK_BUFFERS) return undefined
    this.#buffersMade++
    return new ArrayBuffer(PACK_BUFFER_BYTES)
  }

  #sendTail(): void {
    const tail = this.#sealer.takeTail()
    if (tail !== undefined) this.#buffersMade-- // it does not come back
    this.#send(
      { type: 'tail', tail: tail ?? { bytes: new Uint8Array(0), blobs: [] } },
      tail === undefined ? [] : buffersOf([tail.bytes]))
  }
}

function buffersOf(views: readonly Uint8Array[]): readonly ArrayBuffer[] {
  return views.map((view) => {
    assert(view.buffer instanceof ArrayBuffer)
    return view.buffer
  })
}
