/**
 * Reads exactly so many bytes from a unix socket, long runs straight into their destination.
 *
 * Node can be told where the kernel puts the next bytes (`onread`), which saves an allocation and a
 * copy of everything read. The place is chosen when the bytes before have been delivered, so the
 * first bytes of a run may still land in a scratch buffer and are copied from there.
 */

import { connect, type Socket } from 'node:net'

/** Large enough for many small replies at once, small beside the runs that matter. */
const SCRATCH_BYTES = 64 * 1024

interface Wanted {
  readonly into: Uint8Array
  filled: number
  readonly done: (error?: Error) => void
}

export class SocketReader {
  readonly socket: Socket
  readonly #scratch = new Uint8Array(SCRATCH_BYTES)
  /** Bytes of the scratch that nobody has taken; while there are any, nothing more is read. */
  #ready: Uint8Array = new Uint8Array(0)
  #wanted: Wanted | undefined
  #isPaused = false
  #failure: Error | undefined

  /** Connects at once; a socket that cannot be connected shows in the first `fill`. */
  constructor(path: string) {
    this.socket = connect({
      path,
      onread: {
        buffer: () => this.#nextPlace(),
        callback: (length, buffer) => this.#onBytes(buffer.subarray(0, length)),
      },
    })
    this.socket.on('error', (error) => this.#fail(error))
    this.socket.on('end', () => this.#fail(new Error('the server closed the connection')))
    this.socket.on('close', () => this.#fail(new Error('the connection is closed')))
  }

  /**
   * Resolves when `into` is full; rejects with the socket's error or one that tells of its end.
   * One call at a time. After a call has been given up the reader must be closed.
   */
  fill(into: Uint8Array): Promise<void> {
    const taken = this.#take(into)
    if (taken === into.length) return Promise.resolve()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#wanted = {
        into, filled: taken,
        done: (error) => {
          this.#wanted = undefined
          if (error === undefined) resolve()
          else reject(error)
        },
      }
      if (this.#isPaused) {
        this.#isPaused = false
        this.socket.resume()
      }
    })
  }

  #onBytes(bytes: Uint8Array): boolean {
    const wanted = this.#wanted
    if (wanted !== undefined && bytes.buffer === wanted.into.buffer) wanted.filled += bytes.length
    else {
      this.#ready = bytes
      if (wanted !== undefined) wanted.filled += this.#take(wanted.into.subarray(wanted.filled))
    }
    if (wanted !== undefined && wanted.filled === wanted.into.length) wanted.done()
    this.#isPaused = this.#ready.length > 0
    return !this.#isPaused
  }

  /** Where the next bytes go. */
  #nextPlace(): Uint8Array {
    const wanted = this.#wanted
    if (wanted !== undefined && wanted.into.length - wanted.filled >= SCRATCH_BYTES) {
      return wanted.into.subarray(wanted.filled)
    }
    return this.#scratch
  }

  #take(into: Uint8Array): number {
    const length = Math.min(into.length, this.#ready.length)
    into.set(this.#ready.subarray(0, length))
    this.#ready = this.#ready.subarray(length)
    return length
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#wanted?.done(this.#failure)
  }
}
