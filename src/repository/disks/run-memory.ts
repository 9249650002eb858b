/** Memory that runs of a disk are read into, again and again. */

/**
 * What the kernel has found once is used again: fresh memory for each run took 4 % of a backup's
 * processor time. What is kept and what is in use together grow no larger than what was ever in
 * use at once.
 */
export class RunMemory {
  readonly #free: ArrayBuffer[] = []

  /** Of just this length, if there is any; it holds what was read before. */
  take(length: number): ArrayBuffer | undefined {
    const at = this.#free.findIndex(({ byteLength }) => byteLength === length)
    // Of another length: what is not used again goes, so that a new one may come.
    const [memory] = this.#free.splice(Math.max(0, at), 1)
    if (at >= 0) return memory
    memory?.transfer(0)
    return undefined
  }

  giveBack(memory: ArrayBuffer): void {
    this.#free.push(memory)
  }
}
