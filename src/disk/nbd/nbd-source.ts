/** A disk served over NBD, read by our own client. */

import { abortable, throwIfAborted, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { bufferFor, checkInside, type BlockSource } from '../block-source.ts'
import { mergeExtents, mergeRanges } from '../extent-stream.ts'
import { alignedOutward, between, endOf, type Extent, type Range } from '../extents.ts'
import { largestRequest } from './codec.ts'
import type { NbdConnection } from './connection.ts'
import { NBD_LIMITS, type NbdLimits } from './limits.ts'
import { faultOfReply, NbdError, protocolFault } from './nbd-error.ts'
import { openNbdConnection } from './open-connection.ts'
import {
  BASE_ALLOCATION, NBD_CMD_BLOCK_STATUS, NBD_CMD_READ, NBD_FLAG_CAN_MULTI_CONN, NBD_STATE_DIRTY,
  NBD_STATE_ZERO,
} from './protocol.ts'
import type { Descriptor } from './reply.ts'

export interface NbdTarget {
  /** The server's unix socket. TCP is not offered before TLS is. */
  readonly socketPath: string
  /** Empty for the server's default export. */
  readonly exportName: string
  /** Metadata contexts that must be there besides `base:allocation`, which is always asked for. */
  readonly contexts?: readonly string[]
  /** Connections to use if the server allows several (`CAN_MULTI_CONN`); default 1. */
  readonly connections?: number
  readonly limits?: Partial<NbdLimits>
}

/** `extents` is there if the server offers `base:allocation`. */
export interface NbdSource extends BlockSource {
  /**
   * The dirty ranges of a bitmap context (`qemu:dirty-bitmap:NAME`, asked for at connect) inside
   * `range`: ordered, neither overlapping nor touching.
   */
  dirtyExtents(context: string, range: Range, signal: AbortSignal): AsyncIterable<Range>
}

/**
 * Opens an NBD export for reading. Faults: `nbd-refused` (no server, no such export, no such
 * context), `nbd-protocol`, `timed-out`. An error the server answers a request with is the cause
 * of the Fault: `nbdErrorOf`.
 */
export async function connectNbd(
  target: NbdTarget, clock: Clock, signal: AbortSignal): Promise<NbdSource> {
  const limits = { ...NBD_LIMITS, ...target.limits }
  const { socketPath, exportName, contexts = [] } = target
  const open = (): Promise<NbdConnection> =>
    openNbdConnection({ socketPath, exportName, contexts }, limits, clock, signal)
  await using opened = new AsyncDisposableStack()
  const first = opened.use(await open())
  const connections: [NbdConnection, ...NbdConnection[]] = [first]
  const { facts, sizes } = first.negotiated
  if (facts.sizeBytes % sizes.minimum !== 0) {
    throw new Fault('unsupported', 'the NBD export\'s size is no multiple of its block size')
  }
  const count = (facts.flags & NBD_FLAG_CAN_MULTI_CONN) === 0 ? 1 : target.connections ?? 1
  while (connections.length < count) {
    const next = opened.use(await open())
    if (next.negotiated.facts.sizeBytes !== facts.sizeBytes) {
      throw protocolFault('two connections to one export show different sizes')
    }
    connections.push(next)
  }
  const name = `NBD export "${printable(exportName)}" at ${printable(socketPath)}`
  return new NbdReader(name, connections, limits, opened.move())
}

/** Asked for at once: few round trips, yet a server need not walk a whole disk for one reply. */
const STATUS_BYTES = 2 ** 30

class NbdReader implements NbdSource {
  readonly name: string
  readonly sizeBytes: number
  readonly extents?: (range: Range, signal: AbortSignal) => AsyncIterable<Extent>
  readonly #connections: readonly [NbdConnection, ...NbdConnection[]]
  readonly #opened: AsyncDisposableStack
  readonly #minimum: number
  readonly #requestBytes: number

  constructor(
    name: string, connections: readonly [NbdConnection, ...NbdConnection[]], limits: NbdLimits,
    opened: AsyncDisposableStack,
  ) {
    const { facts, sizes, contexts } = connections[0].negotiated
    this.name = name
    this.sizeBytes = facts.sizeBytes
    this.#connections = connections
    this.#opened = opened
    this.#minimum = sizes.minimum
    this.#requestBytes = largestRequest(limits, sizes)
    if (contexts.has(BASE_ALLOCATION)) {
      this.extents = (range, signal) => mergeExtents(this.#allocation(range, signal), range)
    }
  }

  async read(
    offset: number, length: number, signal: AbortSignal, memory?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    throwIfAborted(signal)
    if (length === 0) return new Uint8Array(0)
    const aligned = alignedOutward({ offset, length }, this.#minimum, this.sizeBytes)
    const bytes = bufferFor(aligned.length, memory)
    await abortable(this.#readInto(bytes, aligned.offset, signal), signal)
    if (aligned.length === length) return bytes
    return bytes.slice(offset - aligned.offset, offset - aligned.offset + length)
  }

  async #readInto(bytes: Uint8Array, offset: number, signal: AbortSignal): Promise<void> {
    const pieces: Promise<unknown>[] = []
    for (let at = 0; at < bytes.length; at += this.#requestBytes) {
      const into = bytes.subarray(at, at + this.#requestBytes)
      pieces.push(
        this.#idlest().request(NBD_CMD_READ, offset + at, into.length, { into }, signal))
    }
    try {
      await Promise.all(pieces)
    } catch (error) {
      throw this.#explain(`read ${bytes.length} bytes at ${offset}`, error)
    }
  }

  dirtyExtents(context: string, range: Range, signal: AbortSignal): AsyncIterable<Range> {
    return mergeRanges(this.#dirty(context, range, signal))
  }

  async* #dirty(
    context: string, range: Range, signal: AbortSignal): AsyncGenerator<Range, void, undefined> {
    for await (const { flags, offset, length } of this.#status(context, range, signal)) {
      if ((flags & NBD_STATE_DIRTY) !== 0) yield { offset, length }
    }
  }

  /** Only ZERO may be skipped: a hole without it has unknown content. */
  async* #allocation(
    range: Range, signal: AbortSignal): AsyncGenerator<Extent, void, undefined> {
    for await (const { flags, offset, length } of this.#status(BASE_ALLOCATION, range, signal)) {
      yield { offset, length, kind: (flags & NBD_STATE_ZERO) === 0 ? 'data' : 'zero' }
    }
  }

  async* #status(
    context: string, range: Range, signal: AbortSignal,
  ): AsyncGenerator<Range & { readonly flags: number }, void, undefined> {
    checkInside(this, range.offset, range.length)
    const aligned = alignedOutward(range, this.#minimum, this.sizeBytes)
    let at = aligned.offset
    while (at < endOf(range)) {
      const length = Math.min(STATUS_BYTES, endOf(aligned) - at)
      for (const described of await abortable(this.#query(context, at, length, signal), signal)) {
        const start = Math.max(at, range.offset)
        const end = Math.min(at + described.length, endOf(range))
        at += described.length
        if (start < end) yield { ...between(start, end), flags: described.flags }
      }
    }
  }

  async #query(
    context: string, offset: number, length: number, signal: AbortSignal,
  ): Promise<readonly Descriptor[]> {
    const connection = this.#idlest()
    const id = connection.negotiated.contexts.get(context)
    if (id === undefined) throw new Fault('nbd-refused', `${this.name} has no context ${context}`)
    try {
      const reply = await connection.request(NBD_CMD_BLOCK_STATUS, offset, length, {}, signal)
      return reply.statuses.get(id) ?? []
    } catch (error) {
      throw this.#explain(`describe ${length} bytes at ${offset}`, error)
    }
  }

  #idlest(): NbdConnection {
    return this.#connections.reduce((a, b) => (b.outstanding < a.outstanding ? b : a))
  }

  #explain(what: string, error: unknown): unknown {
    return error instanceof NbdError ? faultOfReply(`${what} of ${this.name}`, error) : error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync()
  }
}
