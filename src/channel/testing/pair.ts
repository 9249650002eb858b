/** Two ends of one channel in memory, whose lines a test may meddle with. */

import type { ByteChannel, ChannelListener } from '../byte-channel.ts'

/** What becomes of a piece on its way; none: it is lost. */
export type OnTheWay = (bytes: Uint8Array) => readonly Uint8Array[]

export interface ChannelPair {
  readonly requestor: ByteChannel
  readonly agent: ByteChannel
}

export function channelPair(
  toAgent: OnTheWay = (bytes) => [bytes], toRequestor: OnTheWay = (bytes) => [bytes]): ChannelPair {
  const ends = [new End(), new End()] as const
  ends[0].connect(ends[1], toAgent)
  ends[1].connect(ends[0], toRequestor)
  return { requestor: ends[0], agent: ends[1] }
}

class End implements ByteChannel {
  #other: End | undefined
  #onTheWay: OnTheWay = (bytes) => [bytes]
  #listener: ChannelListener | undefined
  #early: Uint8Array[] = []
  #isClosed = false

  connect(other: End, onTheWay: OnTheWay): void {
    this.#other = other
    this.#onTheWay = onTheWay
  }

  send(text: string): void {
    if (this.#isClosed) return
    for (const bytes of this.#onTheWay(Buffer.from(text))) {
      queueMicrotask(() => this.#other?.arrive(bytes))
    }
  }

  arrive(bytes: Uint8Array): void {
    if (this.#isClosed) return
    if (this.#listener === undefined) this.#early.push(bytes)
    else this.#listener.onBytes(bytes)
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    for (const bytes of this.#early.splice(0)) listener.onBytes(bytes)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    queueMicrotask(() => this.#listener?.onEnd())
    this.#other?.close()
  }
}
