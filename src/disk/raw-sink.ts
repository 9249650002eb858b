/** Raw images for writing: sparse, and complete or not there. */

import type { FileHandle } from 'node:fs/promises'
import { throwIfAborted } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { writeFault } from '../base/write-fault.ts'
import { nonZeroRuns } from '../base/zero.ts'
import { checkInside, type BlockSink, type SinkFile } from './block-source.ts'
import { completePartial, createPartial, removePartial, type PartialFile } from './partial-file.ts'

/** The block of most file systems: a smaller run of zeros would be stored all the same. */
const HOLE_BYTES = 4096

/**
 * Creates a sparse raw image of `sizeBytes`, mode 0600. It is written as `<path>.partial` and gets
 * its name when `finish` has made it durable; zeros are left out as holes. An abort or fault
 * leaves nothing once it is disposed. Faults: `already-exists`, `no-space`, `io-error`.
 */
export async function createRawSink(
  path: string, sizeBytes: number, signal: AbortSignal): Promise<BlockSink> {
  throwIfAborted(signal)
  const { file, ...partial } = await createPartial(path)
  const sink = new RawSink(partial, sizeBytes, file)
  try {
    await file.truncate(sizeBytes)
    return sink
  } catch (cause) {
    await sink[Symbol.asyncDispose]()
    throw writeFault(path, cause)
  }
}

class RawSink implements BlockSink {
  readonly name: string
  readonly sizeBytes: number
  readonly file: SinkFile
  readonly #partial: PartialFile
  readonly #file: FileHandle
  #state: 'open' | 'failed' | 'finished' | 'closed' = 'open'

  constructor(partial: PartialFile, sizeBytes: number, file: FileHandle) {
    this.name = `raw image ${printable(partial.path)}`
    this.sizeBytes = sizeBytes
    this.file = { fd: file.fd, path: partial.path, holeBytes: HOLE_BYTES }
    this.#partial = partial
    this.#file = file
  }

  async write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    checkInside(this, offset, bytes.length)
    this.#checkOpen()
    try {
      for (const run of nonZeroRuns(bytes, offset, HOLE_BYTES)) {
        throwIfAborted(signal)
        const data = bytes.subarray(run.offset, run.offset + run.length)
        await this.#writeRun(data, offset + run.offset)
      }
    } catch (error) {
      if (this.#state === 'open') this.#state = 'failed'
      throw error
    }
  }

  async #writeRun(bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      try {
        at += (await this.#file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
      } catch (cause) {
        throw writeFault(this.#partial.path, cause)
      }
    }
  }

  async finish(signal: AbortSignal): Promise<void> {
    this.#checkOpen()
    throwIfAborted(signal)
    this.#state = 'failed'
    try {
      await this.#file.sync()
    } catch (cause) {
      throw writeFault(this.#partial.path, cause)
    }
    throwIfAborted(signal)
    await completePartial(this.#partial)
    this.#state = 'finished'
  }

  #checkOpen(): void {
    if (this.#state === 'open') return
    throw new Fault('io-error', `${this.name} takes no more writes: it is ${this.#state}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'closed') return
    const isFinished = this.#state === 'finished'
    this.#state = 'closed'
    await this.#file.close().catch(() => {}) // what matters was synced in finish, or is removed
    if (!isFinished) await removePartial(this.#partial)
  }
}
