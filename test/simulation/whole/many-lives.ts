/** Many seeds, one after the other; the first that fails says how to live it again. */

import { live, type LifeOptions } from './life.ts'

/** Throws at the first seed of `seeds` that breaks an invariant. */
export async function liveAll(seeds: Iterable<number>, options: LifeOptions): Promise<void> {
  for (const seed of seeds) {
    try {
      await live(seed, options)
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`seed ${seed}: ${what}\nreplay it: ` +
        `tools/node test/simulation/whole/replay.ts ${seed}`, { cause })
    }
  }
}

export function* seedsFrom(first: number, count: number): Generator<number, void, undefined> {
  for (let seed = first; seed < first + count; seed++) yield seed
}
