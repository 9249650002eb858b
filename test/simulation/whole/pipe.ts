/** A connection of bytes in virtual time, as a stream at each end: the channel of qemu-ga. */

import { Duplex } from 'node:stream'
import type { Clock } from '../../../src/base/clock.ts'

export class PipeEnd extends Duplex {
  readonly #clock: Clock
  #other: PipeEnd | undefined
  #isCut = false
  /** What it sends arrives so much later, in order all the same. */
  latencyMs = 0.2
  #lastArrivalMs = 0

  private constructor(clock: Clock) {
    super()
    this.#clock = clock
  }

  static pair(clock: Clock): readonly [PipeEnd, PipeEnd] {
    const ends = [new PipeEnd(clock), new PipeEnd(clock)] as const
    ends[0].#other = ends[1]
    ends[1].#other = ends[0]
    return ends
  }

  /** Whoever has this end is dead: the other end is told, this one hears nothing any more. */
  cut(): void {
    if (this.#isCut || this.destroyed) return
    this.#isCut = true
    this.#deliver((other) => other.#hangUp())
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.#isCut) this.#deliver((other) => other.#arrive(chunk))
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#isCut) this.#deliver((other) => other.#hangUp())
    done(error)
  }

  #deliver(how: (other: PipeEnd) => void): void {
    const nowMs = this.#clock.monotonicMs()
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, nowMs + this.latencyMs)
    this.#clock.after(this.#lastArrivalMs - nowMs, () => {
      if (this.#other !== undefined) how(this.#other)
    })
  }

  #arrive(chunk: Buffer): void {
    if (!this.#isCut && !this.destroyed) this.push(chunk)
  }

  #hangUp(): void {
    if (!this.#isCut) this.destroy()
  }
}
