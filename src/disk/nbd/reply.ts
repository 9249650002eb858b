/** A reply as it comes in: what has arrived of it, and whether that can be true. */

import { protocolFault, type NbdError } from './nbd-error.ts'
import {
  NBD_CMD_BLOCK_STATUS, NBD_CMD_FLUSH, NBD_CMD_READ, NBD_CMD_WRITE, NBD_MAX_DESCRIPTORS,
} from './protocol.ts'

export type Command =
  | typeof NBD_CMD_READ | typeof NBD_CMD_WRITE | typeof NBD_CMD_FLUSH | typeof NBD_CMD_BLOCK_STATUS

export interface Descriptor {
  readonly length: number
  readonly flags: number
}

/** What a successful request brings: a read fills `into`, a status query `statuses`. */
export interface Reply {
  readonly command: Command
  readonly offset: number
  readonly length: number
  /** A read's destination, of `length` bytes, which may hold anything. */
  readonly into: Uint8Array
  readonly received: Coverage
  /** Context id → descriptors. */
  readonly statuses: Map<number, readonly Descriptor[]>
  error: NbdError | undefined
}

export function newReply(
  command: Command, offset: number, length: number, into: Uint8Array): Reply {
  return {
    command, offset, length, into, received: new Coverage(offset, length), statuses: new Map(),
    error: undefined,
  }
}

/** Checks that a reply that claims success is whole. */
export function checkComplete(reply: Reply, contextCount: number): void {
  if (reply.command === NBD_CMD_READ && !reply.received.isWhole) {
    throw protocolFault('a read succeeded without all of its data')
  }
  if (reply.command === NBD_CMD_BLOCK_STATUS && reply.statuses.size !== contextCount) {
    throw protocolFault('a status query succeeded without all of its contexts')
  }
}

/**
 * The payload of NBD_REPLY_TYPE_BLOCK_STATUS, after its context id; neighbours of the same flags
 * are joined, as what follows takes them one by one.
 */
export function decodeDescriptors(payload: Buffer, requestLength: number): readonly Descriptor[] {
  const descriptors: { length: number; readonly flags: number }[] = []
  let described = 0
  for (let at = 0; at < payload.length; at += 8) {
    if (described >= requestLength) throw protocolFault('descriptors run on past the request')
    const length = payload.readUInt32BE(at)
    if (length === 0) throw protocolFault('an empty descriptor')
    described += length
    const flags = payload.readUInt32BE(at + 4)
    const last = descriptors.at(-1)
    if (last?.flags === flags) last.length += length
    else descriptors.push({ length, flags })
  }
  return descriptors
}

/** How long a status chunk may be: its id and a bounded count of descriptors, at least one. */
export function isStatusLength(length: number): boolean {
  return length >= 12 && length <= 4 + 8 * NBD_MAX_DESCRIPTORS && (length - 4) % 8 === 0
}

/** Out-of-order content is allowed; scattered into more pieces than this it is an attack. */
const MAX_PIECES = 1024

/** The part of a request's range that content chunks have covered; none may overlap. */
class Coverage {
  readonly #start: number
  readonly #end: number
  /** Ordered, apart; almost always one. */
  readonly #pieces: { start: number; end: number }[] = []

  constructor(offset: number, length: number) {
    this.#start = offset
    this.#end = offset + length
  }

  get isWhole(): boolean {
    const [first, second] = this.#pieces
    if (this.#start === this.#end) return true
    return second === undefined && first?.start === this.#start && first.end === this.#end
  }

  add(offset: number, length: number): void {
    const end = offset + length
    if (length <= 0 || offset < this.#start || end > this.#end) {
      throw protocolFault('content outside of the request')
    }
    const pieces = this.#pieces
    let next = pieces.length
    while (next > 0 && (pieces[next - 1]?.start ?? 0) >= end) next--
    const before = pieces[next - 1]
    const after = pieces[next]
    if (before !== undefined && before.end > offset) throw protocolFault('content twice')
    if (before?.end === offset) {
      before.end = end
      if (after?.start === end) {
        before.end = after.end
        pieces.splice(next, 1)
      }
    } else if (after?.start === end) after.start = offset
    else pieces.splice(next, 0, { start: offset, end })
    if (pieces.length > MAX_PIECES) throw protocolFault('content in too many pieces')
  }
}
