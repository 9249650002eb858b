/** Everything that is left to chance, by seed. */

import { seededRandom, type RandomBytes } from '../../../src/base/random.ts'

export class Dice {
  readonly #seed: number
  readonly #random: RandomBytes

  constructor(seed: number) {
    this.#seed = seed
    this.#random = seededRandom(seed)
  }

  /** A stream of its own, so that a draw more in one place moves nothing elsewhere. */
  fork(name: string): Dice {
    let hash = this.#seed ^ 0x9e3779b9
    for (const char of name) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
    return new Dice(hash >>> 0)
  }

  get bytes(): RandomBytes {
    return this.#random
  }

  /** From 0 to just below 1. */
  draw(): number {
    return Buffer.from(this.#random(4)).readUInt32LE() / 2 ** 32
  }

  chance(probability: number): boolean {
    return this.draw() < probability
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.draw() * (to - from + 1))
  }

  pick<const T>(items: readonly [T, ...T[]]): T {
    return items[this.between(0, items.length - 1)] ?? items[0]
  }

  /** Each item with its chance. */
  some<T>(items: readonly T[], probability: number): readonly T[] {
    return items.filter(() => this.chance(probability))
  }
}
