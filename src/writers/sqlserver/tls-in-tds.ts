/**
 * The way TLS begins in TDS 7: its handshake travels in packets of PRELOGIN, what follows as it is
 * (MS-TDS 2.2.6.5, 3.2.5.2). For either side.
 */

import { Duplex } from 'node:stream'
import { MESSAGE, MessageReader, packetsOf } from './tds-packets.ts'

export class TlsInTds extends Duplex {
  readonly #socket: Duplex
  readonly #reader = new MessageReader()
  #isInHandshake = true

  /** Owns `socket`, which has said all that comes before TLS. */
  constructor(socket: Duplex) {
    super()
    this.#socket = socket
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    socket.on('end', () => this.push(null))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  /** From here on what is written is TLS alone. */
  endHandshake(): void {
    this.#isInHandshake = false
  }

  #receive(chunk: Uint8Array): void {
    // Each side has the other's last word of the handshake before it says anything else.
    if (this.#reader.isAtStart && chunk[0] !== MESSAGE.prelogin) this.endHandshake()
    if (!this.#isInHandshake) {
      this.push(chunk)
      return
    }
    try {
      for (const { body } of this.#reader.push(chunk)) this.push(body)
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }

  override _read(): void {} // what comes is bounded, and taken as it comes

  override _write(
    chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(this.#isInHandshake ? packetsOf(MESSAGE.prelogin, chunk) : chunk, done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}
