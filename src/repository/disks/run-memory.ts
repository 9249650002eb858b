/** Memory that runs of a disk are read into, again and again. */

import type { BlockSource, Range } from '../../disk/mod.ts'

/**
 * What the kernel has found once is used again: fresh memory for each run took 2 % of a backup's
 * processor time. What is kept and what is in use together grow no larger than what was ever in
 * use at once.
 */
export class RunMemory {
  readonly #free: ArrayBuffer[] = []

  /** Reads a run; what it lies in is to be given back. Faults: the source's. */
  async read(
    source: BlockSource, { offset, length }: Range, signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const memory = this.#take(length)
    const bytes = await source.read(offset, length, signal, memory)
    // A source that brings its own would make it more with each run.
    if (memory !== bytes.buffer) memory?.transfer(0)
    return bytes
  }

  giveBack(memory: ArrayBuffer): void {
    this.#free.push(memory)
  }

  /** Of just this length, if there is any. */
  #take(length: number): ArrayBuffer | undefined {
    const at = this.#free.findIndex(({ byteLength }) => byteLength === length)
    const [memory] = this.#free.splice(Math.max(0, at), 1)
    if (at >= 0) return memory
    // What does not fit goes, as a new one comes.
    memory?.transfer(0)
    return undefined
  }
}
