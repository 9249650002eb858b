/** A place in a chunk of an event log, and what may still be read of it. */

import { Fault } from '../base/fault.ts'

/** A chunk of 64 KiB of a real log takes up to 26,000 (six logs); far more is a trap. */
const MAX_STEPS = 250_000
/** Text that a chunk may become, in characters; a real one becomes up to 122,000. */
const MAX_TEXT = 1024 * 1024

/** What a chunk may cost, however its parts point at each other. */
export class Budget {
  #steps = MAX_STEPS
  #text = MAX_TEXT

  get isSpent(): boolean {
    return this.#steps < 0 || this.#text < 0
  }

  /** Fault: `disk-unreadable`. */
  step(): void {
    if (--this.#steps < 0) damaged('its parts lead on without end')
  }

  /** Fault: `disk-unreadable`. */
  text(characters: number): void {
    this.#text -= characters
    if (this.#text < 0) damaged('its parts say the same again and again')
  }
}

/** Reads forward between its place and `end`; offsets count from the chunk's beginning. */
export class ChunkCursor {
  readonly chunk: Buffer
  readonly budget: Budget
  readonly end: number
  at: number

  constructor(chunk: Buffer, budget: Budget, at: number, end: number) {
    if (at < 0 || at > end || end > chunk.length) damaged('it points outside of its chunk')
    this.chunk = chunk
    this.budget = budget
    this.at = at
    this.end = end
  }

  /** Where `length` bytes begin that were there; the place is then behind them. */
  take(length: number): number {
    const at = this.at
    if (length > this.end - at) damaged('it ends too early')
    this.at = at + length
    return at
  }

  bytes(length: number): Buffer {
    const at = this.take(length)
    return this.chunk.subarray(at, at + length)
  }

  u8(): number {
    return this.chunk.readUInt8(this.take(1))
  }

  u16(): number {
    return this.chunk.readUInt16LE(this.take(2))
  }

  u32(): number {
    return this.chunk.readUInt32LE(this.take(4))
  }

  /** UTF-16 of so many characters. */
  text(characters: number): string {
    this.budget.text(characters)
    return this.bytes(characters * 2).toString('utf16le')
  }

  /** The same chunk from another place on. */
  from(at: number, end = this.end): ChunkCursor {
    return new ChunkCursor(this.chunk, this.budget, at, end)
  }
}

/** A log, or a record of it, that cannot be followed. */
export function damaged(how: string): never {
  throw new Fault('disk-unreadable', `the event log is damaged: ${how}`)
}
