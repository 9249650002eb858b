/** Packets and messages of TDS 7.4, as a client sends and takes them (MS-TDS 2.2.3). */

import { Fault } from '../../base/fault.ts'

/** What a message is: the first byte of each of its packets. */
export const MESSAGE = { batch: 0x01, answer: 0x04, login: 0x10, prelogin: 0x12 } as const

const HEADER_BYTES = 8
/** What both sides may send before another size was agreed on. */
const PACKET_BYTES = 4096
const LAST = 0x01

/** `body` in packets of one type. */
export function packetsOf(type: number, body: Uint8Array): Uint8Array {
  const room = PACKET_BYTES - HEADER_BYTES
  const parts: Uint8Array[] = []
  for (let at = 0, number = 1; at === 0 || at < body.length; at += room, number++) {
    const part = body.subarray(at, at + room)
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt8(type, 0)
    header.writeUInt8(at + part.length >= body.length ? LAST : 0, 1)
    header.writeUInt16BE(HEADER_BYTES + part.length, 2)
    header.writeUInt8(number & 0xff, 6)
    parts.push(header, part)
  }
  return Buffer.concat(parts)
}

export interface Message {
  readonly type: number
  readonly body: Uint8Array
}

/** Puts messages together; whoever feeds it bounds what comes. */
export class MessageReader {
  #held: Uint8Array = new Uint8Array()
  #bodies: Uint8Array[] = []

  /** Nothing of a message is waiting for its rest. */
  get isAtStart(): boolean {
    return this.#held.length === 0 && this.#bodies.length === 0
  }

  /** The messages that this ends. Fault: `writer-failed`. */
  push(chunk: Uint8Array): readonly Message[] {
    const bytes = Buffer.concat([this.#held, chunk])
    const messages: Message[] = []
    let at = 0
    while (bytes.length - at >= HEADER_BYTES) {
      const type = bytes.readUInt8(at)
      const length = bytes.readUInt16BE(at + 2)
      if (length < HEADER_BYTES) throw new Fault('writer-failed', 'its answer is no TDS')
      if (bytes.length - at < length) break
      this.#bodies.push(bytes.subarray(at + HEADER_BYTES, at + length))
      const isLast = (bytes.readUInt8(at + 1) & LAST) !== 0
      at += length
      if (!isLast) continue
      messages.push({ type, body: Buffer.concat(this.#bodies) })
      this.#bodies = []
    }
    this.#held = bytes.subarray(at)
    return messages
  }
}
