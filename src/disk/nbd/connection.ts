/** One connection in its transmission phase: many requests under way, replies in any order. */

import { throwIfAborted, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import {
  decodeReplyHeader, encodeRequest, readSafeInteger, replyHeaderBytes, SIMPLE_REPLY_BYTES,
  type ReplyHeader,
} from './codec.ts'
import type { Negotiated } from './handshake.ts'
import type { NbdLimits } from './limits.ts'
import { NbdError, protocolFault } from './nbd-error.ts'
import {
  NBD_CMD_BLOCK_STATUS, NBD_CMD_DISC, NBD_CMD_READ, NBD_MAX_STRING, NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS, NBD_REPLY_TYPE_ERROR, NBD_REPLY_TYPE_ERROR_OFFSET,
  NBD_REPLY_TYPE_NONE, NBD_REPLY_TYPE_OFFSET_DATA, NBD_REPLY_TYPE_OFFSET_HOLE,
} from './protocol.ts'
import {
  checkComplete, decodeDescriptors, isStatusLength, newReply, type Command, type Reply,
} from './reply.ts'
import type { SocketReader } from './socket-reader.ts'

const NOTHING = new Uint8Array(0)
const FAREWELL_MS = 1000

interface Pending {
  readonly reply: Reply
  readonly timer: Disposable
  readonly settle: (error?: Error) => void
}

export interface RequestOptions {
  /** A read's destination: `length` bytes, which may hold anything. */
  readonly into?: Uint8Array
  /** A write's bytes, not to be changed until the request has settled. */
  readonly payload?: Uint8Array
}

export class NbdConnection implements AsyncDisposable {
  readonly negotiated: Negotiated
  readonly #reader: SocketReader
  readonly #clock: Clock
  readonly #limits: NbdLimits
  readonly #pending = new Map<number, Pending>()
  readonly #waiting: (() => void)[] = []
  readonly #ended: Promise<void>
  #nextCookie = 1
  #outstanding = 0
  #failure: Fault | undefined

  constructor(reader: SocketReader, negotiated: Negotiated, limits: NbdLimits, clock: Clock) {
    this.negotiated = negotiated
    this.#reader = reader
    this.#limits = limits
    this.#clock = clock
    this.#ended = this.#receive()
  }

  /** Requests sent or waiting to be sent. */
  get outstanding(): number {
    return this.#outstanding
  }

  /**
   * Sends one request, at most the server's sizes allow, and resolves with its whole reply.
   * Rejects with an NbdError if the server answered with one, with a Fault if the connection is
   * over. An abort is heeded until the request is sent; then the reply is awaited regardless.
   */
  async request(
    command: Command, offset: number, length: number, options: RequestOptions, signal: AbortSignal,
  ): Promise<Reply> {
    this.#outstanding++
    try {
      while (this.#failure === undefined && this.#pending.size >= this.#limits.inFlight) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve))
      }
      if (this.#failure !== undefined) throw this.#failure
      throwIfAborted(signal)
      return await this.#send(command, offset, length, options)
    } finally {
      this.#outstanding--
      this.#waiting.shift()?.()
    }
  }

  #send(
    command: Command, offset: number, length: number, options: RequestOptions): Promise<Reply> {
    const cookie = this.#nextCookie++
    const reply = newReply(command, offset, length, options.into ?? NOTHING)
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(this.#limits.requestMs, () => this.#fail(new Fault(
        'disk-lost', `the NBD server did not answer within ${this.#limits.requestMs} ms`,
        { retry: 'later' })))
      this.#pending.set(cookie, {
        reply, timer,
        settle: (error) => {
          timer[Symbol.dispose]()
          if (error === undefined) resolve(reply)
          else reject(error)
        },
      })
      const { socket } = this.#reader
      const header = encodeRequest(command, cookie, offset, length)
      if (options.payload === undefined) socket.write(header)
      else {
        socket.cork()
        socket.write(header)
        socket.write(options.payload)
        socket.uncork()
      }
    })
  }

  /**
   * Says goodbye, and for up to a second lets replies under way arrive unheard: a hang-up in the
   * midst of a reply has been seen to crash a server (nbdkit 1.32) that others may be using.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const { socket } = this.#reader
    if (!socket.destroyed) socket.write(encodeRequest(NBD_CMD_DISC, 0, 0, 0))
    this.#refuse(new Fault('disk-lost', 'the connection to the disk was closed'))
    using _ = this.#clock.after(FAREWELL_MS, () => socket.destroy())
    await this.#ended
    socket.destroy()
  }

  /** Ends every request, under way or to come, with `fault`. */
  #refuse(fault: Fault): void {
    this.#failure ??= fault
    for (const pending of this.#pending.values()) pending.settle(this.#failure)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #fail(fault: Fault): void {
    this.#refuse(fault)
    this.#reader.socket.destroy()
  }

  /** Receives until the connection ends; never rejects. */
  async #receive(): Promise<void> {
    try {
      for (;;) await this.#receiveMessage()
    } catch (cause) {
      this.#fail(isFault(cause)
        ? cause
        : new Fault(
          'disk-lost', 'the connection to the NBD server broke', { cause, retry: 'later' }))
    }
  }

  async #receiveMessage(): Promise<void> {
    const bytes = Buffer.alloc(32)
    await this.#reader.fill(bytes.subarray(0, SIMPLE_REPLY_BYTES))
    const size = replyHeaderBytes(bytes.readUInt32BE(0))
    if (size > SIMPLE_REPLY_BYTES) await this.#reader.fill(bytes.subarray(SIMPLE_REPLY_BYTES, size))
    const header = decodeReplyHeader(bytes)
    const pending = this.#pending.get(header.cookie)
    if (pending === undefined) throw protocolFault('a reply to a request that is not under way')
    const { reply } = pending
    if (header.form === 'simple') await this.#receiveSimple(header.error, reply)
    else await this.#receiveChunk(header, reply)
    const isLast = header.form === 'simple' || (header.flags & NBD_REPLY_FLAG_DONE) !== 0
    if (!isLast) return
    if (reply.error === undefined) checkComplete(reply, this.negotiated.contexts.size)
    this.#pending.delete(header.cookie)
    pending.settle(reply.error)
  }

  async #receiveSimple(error: number, reply: Reply): Promise<void> {
    if (error !== 0) reply.error = new NbdError(error, '')
    if (reply.command !== NBD_CMD_READ && reply.command !== NBD_CMD_BLOCK_STATUS) return
    if (this.negotiated.isStructured && (error === 0 || reply.command === NBD_CMD_READ)) {
      throw protocolFault('a simple reply where a structured one must stand')
    }
    if (error === 0) await this.#receiveContent(reply.offset, reply.length, reply)
  }

  async #receiveChunk(header: ReplyHeader & { form: 'chunk' }, reply: Reply): Promise<void> {
    if (!this.negotiated.isStructured) throw protocolFault('a structured reply, never negotiated')
    const { type, length, flags } = header
    switch (type) {
      case NBD_REPLY_TYPE_NONE:
        if (length !== 0 || (flags & NBD_REPLY_FLAG_DONE) === 0) {
          throw protocolFault('a bad NBD_REPLY_TYPE_NONE')
        }
        return
      case NBD_REPLY_TYPE_OFFSET_DATA: {
        if (reply.command !== NBD_CMD_READ || length < 9) {
          throw protocolFault('a bad NBD_REPLY_TYPE_OFFSET_DATA')
        }
        const offset = readSafeInteger(await this.#payload(8), 0, 'an offset')
        return this.#receiveContent(offset, length - 8, reply)
      }
      case NBD_REPLY_TYPE_OFFSET_HOLE: {
        if (reply.command !== NBD_CMD_READ || length !== 12) {
          throw protocolFault('a bad NBD_REPLY_TYPE_OFFSET_HOLE')
        }
        const payload = await this.#payload(12)
        const [offset, count] = [readSafeInteger(payload, 0, 'an offset'), payload.readUInt32BE(8)]
        reply.received.add(offset, count)
        reply.into.fill(0, offset - reply.offset, offset - reply.offset + count)
        return
      }
      case NBD_REPLY_TYPE_BLOCK_STATUS:
        return this.#receiveStatus(length, reply)
      default:
        if (type < 2 ** 15) throw protocolFault(`a chunk of the unknown type ${type}`)
        return this.#receiveError(type, length, reply)
    }
  }

  async #receiveContent(offset: number, length: number, reply: Reply): Promise<void> {
    reply.received.add(offset, length) // before a byte is put anywhere
    const at = offset - reply.offset
    await this.#reader.fill(reply.into.subarray(at, at + length))
  }

  async #receiveStatus(length: number, reply: Reply): Promise<void> {
    if (reply.command !== NBD_CMD_BLOCK_STATUS || !isStatusLength(length)) {
      throw protocolFault('a bad NBD_REPLY_TYPE_BLOCK_STATUS')
    }
    const payload = await this.#payload(length)
    const id = payload.readUInt32BE(0)
    if (![...this.negotiated.contexts.values()].includes(id)) {
      throw protocolFault('an unknown context id')
    }
    if (reply.statuses.has(id)) throw protocolFault('a context described twice')
    reply.statuses.set(id, decodeDescriptors(payload.subarray(4), reply.length))
  }

  async #receiveError(type: number, length: number, reply: Reply): Promise<void> {
    const fixed = type === NBD_REPLY_TYPE_ERROR_OFFSET ? 14 : 6
    if (length < fixed || length > fixed + NBD_MAX_STRING) {
      throw protocolFault('an error chunk of a wrong length')
    }
    const payload = await this.#payload(length)
    const error = payload.readUInt32BE(0)
    const textLength = payload.readUInt16BE(4)
    if (textLength > length - fixed) throw protocolFault('an error text longer than its chunk')
    const isKnown = type === NBD_REPLY_TYPE_ERROR || type === NBD_REPLY_TYPE_ERROR_OFFSET
    if (isKnown && error === 0) throw protocolFault('an error chunk without an error')
    reply.error ??= new NbdError(error, payload.toString('utf8', 6, 6 + textLength))
  }

  async #payload(length: number): Promise<Buffer> {
    const payload = Buffer.alloc(length)
    await this.#reader.fill(payload)
    return payload
  }
}
