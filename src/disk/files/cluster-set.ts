/** A set of clusters of one volume, a bit each, in the order of $Bitmap. */

const WORD_BITS = 32
const ALL = 0xffff_ffff

export class ClusterSet {
  readonly clusters: number
  readonly #words: Uint32Array<ArrayBuffer>

  constructor(clusters: number) {
    this.clusters = clusters
    this.#words = new Uint32Array(Math.ceil(clusters / WORD_BITS))
  }

  /** Its bytes, to be filled in; those of a host that has the low byte first, as all of ours. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#words.buffer)
  }

  /** Whether all from `from` to before `end` are in it, which must be clusters that there are. */
  hasAll(from: number, end: number): boolean {
    return this.#change(from, true, end) >= end
  }

  delete(from: number, end: number): void {
    for (let at = from; at < end;) {
      const isWhole = at % WORD_BITS === 0 && end - at >= WORD_BITS
      const index = Math.floor(at / WORD_BITS)
      const keep = isWhole ? 0 : (ALL ^ (1 << at % WORD_BITS))
      this.#words[index] = (this.#words[index] ?? 0) & keep
      at += isWhole ? WORD_BITS : 1
    }
  }

  /** Runs of clusters that are in it, and of those that are not, in turn, from `from` to `end`. */
  * runs(from: number, end: number): Generator<{
    readonly from: number; readonly end: number; readonly isIn: boolean }> {
    for (let at = from; at < end;) {
      const isIn = this.#has(at)
      const next = this.#change(at, isIn, end)
      yield { from: at, end: next, isIn }
      at = next
    }
  }

  /** How many from `from` to before `end` are in it. */
  count(from: number, end: number): number {
    let count = 0
    for (let at = from; at < end;) {
      const isWhole = at % WORD_BITS === 0 && end - at >= WORD_BITS
      if (isWhole) count += bitsOf(this.#words[at / WORD_BITS] ?? 0)
      else if (this.#has(at)) count += 1
      at += isWhole ? WORD_BITS : 1
    }
    return count
  }

  #has(cluster: number): boolean {
    const word = this.#words[Math.floor(cluster / WORD_BITS)] ?? 0
    return (word >>> cluster % WORD_BITS & 1) === 1
  }

  /** The first from `at` on of which `isIn` is not so, or `end`. */
  #change(at: number, isIn: boolean, end: number): number {
    const same = isIn ? ALL : 0
    for (; at < end;) {
      if (at % WORD_BITS !== 0 || this.#words[at / WORD_BITS] !== same) {
        if (this.#has(at) !== isIn) return at
        at += 1
        continue
      }
      let index = at / WORD_BITS
      const last = Math.ceil(end / WORD_BITS)
      while (index < last && this.#words[index] === same) index += 1 // a terabyte in milliseconds
      at = index * WORD_BITS
    }
    return end
  }
}

function bitsOf(word: number): number {
  let bits = word - (word >>> 1 & 0x5555_5555)
  bits = (bits & 0x3333_3333) + (bits >>> 2 & 0x3333_3333)
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}
