/** Cuts a stream of bytes into lines, with a bound on the longest. */

import { Fault, type FaultCode } from './fault.ts'

export interface LineLimits {
  /** The longest line taken, its end not counted. */
  readonly maxBytes: number
  /** For the fault: who sends, and the code to fault with. */
  readonly from: string
  readonly code: FaultCode
}

const FIRST_BYTES = 4096

/** Keeps what has come of the line under way. Lines end in LF; a CR before it is cut off. */
export class LineSplitter {
  readonly #limits: LineLimits
  /** One buffer that doubles: a list of chunks could hold a hundred times what has come. */
  #kept = Buffer.alloc(0)
  #size = 0

  constructor(limits: LineLimits) {
    this.#limits = limits
  }

  /** The lines that `chunk` completes, without their ends; empty lines are left out. */
  push(chunk: Uint8Array): readonly Buffer[] {
    const lines: Buffer[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(0x0a, start)
      if (end === -1) break
      const line = this.#complete(chunk.subarray(start, end))
      if (line.length > 0) lines.push(line)
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
    return lines
  }

  #complete(last: Uint8Array): Buffer {
    this.#keep(last)
    const line = this.#kept.subarray(0, this.#size)
    this.#kept = Buffer.alloc(0)
    this.#size = 0
    return line.at(-1) === 0x0d ? line.subarray(0, -1) : line
  }

  #keep(part: Uint8Array): void {
    const size = this.#size + part.length
    if (size > this.#limits.maxBytes) {
      const { from, code, maxBytes } = this.#limits
      throw new Fault(code, `${from} sent a line longer than the ${maxBytes} bytes allowed`)
    }
    if (size > this.#kept.length) {
      const grown = Buffer.alloc(Math.max(size, 2 * this.#kept.length, FIRST_BYTES))
      this.#kept.copy(grown, 0, 0, this.#size)
      this.#kept = grown
    }
    this.#kept.set(part, this.#size)
    this.#size = size
  }
}
