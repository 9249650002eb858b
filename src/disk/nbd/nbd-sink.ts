/** A disk served over NBD, written by our own client. */

import { throwIfAborted, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { nonZeroRuns } from '../../base/zero.ts'
import { checkInside, type BlockSink } from '../block-source.ts'
import { largestRequest } from './codec.ts'
import type { NbdConnection } from './connection.ts'
import { NBD_LIMITS, type NbdLimits } from './limits.ts'
import { faultOfReply, NbdError } from './nbd-error.ts'
import { openNbdConnection } from './open-connection.ts'
import {
  NBD_CMD_FLUSH, NBD_CMD_WRITE, NBD_FLAG_READ_ONLY, NBD_FLAG_SEND_FLUSH,
} from './protocol.ts'

/** The cluster of qcow2 and vmdk: what is written of one is stored whole. */
const HOLE_BYTES = 64 * 1024

/**
 * Opens an NBD export, all zeros, for writing. Zeros are left out. Disposing it without `finish`
 * takes nothing back: who made the image behind the export removes it.
 * Faults: `nbd-refused` (no server, no such export, read-only), `nbd-protocol`, `timed-out`.
 */
export async function connectNbdSink(
  target: {
    readonly socketPath: string
    readonly exportName: string
    readonly limits?: Partial<NbdLimits>
  },
  clock: Clock, signal: AbortSignal,
): Promise<BlockSink> {
  const limits = { ...NBD_LIMITS, ...target.limits }
  const name = `NBD export "${printable(target.exportName)}" at ${printable(target.socketPath)}`
  await using opened = new AsyncDisposableStack()
  const connection = opened.use(
    await openNbdConnection({ ...target, contexts: [] }, limits, clock, signal))
  const { facts, sizes } = connection.negotiated
  if ((facts.flags & NBD_FLAG_READ_ONLY) !== 0) {
    throw new Fault('nbd-refused', `${name} is read-only`)
  }
  if (sizes.minimum > HOLE_BYTES || facts.sizeBytes % sizes.minimum !== 0) {
    throw new Fault('unsupported', `${name} has blocks of ${sizes.minimum} bytes`)
  }
  opened.move()
  return new NbdSink(name, connection, largestRequest(limits, sizes))
}

class NbdSink implements BlockSink {
  readonly name: string
  readonly sizeBytes: number
  readonly #connection: NbdConnection
  readonly #requestBytes: number
  #hasFailed = false

  constructor(name: string, connection: NbdConnection, requestBytes: number) {
    this.name = name
    this.sizeBytes = connection.negotiated.facts.sizeBytes
    this.#connection = connection
    this.#requestBytes = requestBytes
  }

  /** `offset` and length must be multiples of the export's block size, as a disk's chunks are. */
  async write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    checkInside(this, offset, bytes.length)
    throwIfAborted(signal)
    const pieces: Promise<unknown>[] = []
    for (const run of nonZeroRuns(bytes, offset, HOLE_BYTES)) {
      for (let at = 0; at < run.length; at += this.#requestBytes) {
        const start = run.offset + at
        const payload = bytes.subarray(start, start + Math.min(this.#requestBytes, run.length - at))
        pieces.push(this.#connection.request(
          NBD_CMD_WRITE, offset + start, payload.length, { payload }, signal))
      }
    }
    // All must have settled before the caller may change the buffer again.
    for (const outcome of await Promise.allSettled(pieces)) {
      if (outcome.status === 'rejected') {
        throw this.#failed(`write ${bytes.length} bytes at ${offset}`, outcome.reason)
      }
    }
  }

  async finish(signal: AbortSignal): Promise<void> {
    if (this.#hasFailed) throw new Fault('io-error', `${this.name} is not whole: a write failed`)
    throwIfAborted(signal)
    if ((this.#connection.negotiated.facts.flags & NBD_FLAG_SEND_FLUSH) === 0) return
    try {
      await this.#connection.request(NBD_CMD_FLUSH, 0, 0, {}, signal)
    } catch (error) {
      throw this.#failed('flush', error)
    }
  }

  #failed(what: string, error: unknown): unknown {
    this.#hasFailed = true
    if (!(error instanceof NbdError)) return error
    const fault = faultOfReply(`${what} of ${this.name}`, error)
    if (fault.code !== 'disk-unreadable') return fault
    return new Fault('io-error', fault.message, { cause: error })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]()
  }
}
