/** What the hostile tests share: seeded choices, mutations, and what must not happen. */

import assert from 'node:assert/strict'
import { isFault, type FaultCode } from '../../src/base/fault.ts'
import { seededRandom } from '../../src/base/random.ts'

/** Choices that are the same for the same seed. */
export class Dice {
  readonly #random: (length: number) => Uint8Array

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** 0 up to, not with, `limit`. */
  below(limit: number): number {
    return new DataView(this.#random(4).buffer).getUint32(0) % Math.max(1, limit)
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    assert(item !== undefined)
    return item
  }

  bytes(length: number): Uint8Array {
    return this.#random(length)
  }
}

/** One to eight bits of `bytes`, at `from` and up to `to`, the other way round. */
export function flipBits(bytes: Uint8Array, dice: Dice, from = 0, to = bytes.length): Buffer {
  const changed = Buffer.from(bytes)
  for (let n = dice.below(8); n >= 0 && to > from; n--) {
    const at = from + dice.below(Math.min(to, changed.length) - from)
    changed[at] = (changed[at] ?? 0) ^ (1 << dice.below(8))
  }
  return changed
}

/** Values that no field of a document expects. */
export const ABSURD: readonly unknown[] = [
  null, true, -1, 0, 1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, -(2 ** 53), '', 'x', '../../etc',
  'a/b', '\0', '\u001b[31mred', '\u009b31m', '\u202eevil', 'x'.repeat(100_000), [], {}, [[[[]]]],
  { __proto__: null }, Array(5000).fill(0), Array.from({ length: 5000 }, () => ({})),
  'constructor', '__proto__',
]

/** `value` with a few of its parts, at any depth, replaced, removed or doubled. */
export function mutateJson(value: unknown, dice: Dice): unknown {
  const copy = structuredClone(value)
  for (let n = dice.below(3); n >= 0; n--) mutateOnce(copy, dice)
  return dice.below(40) === 0 ? pickAbsurd(dice) : copy
}

/** A copy: the next mutation may be of it, and must not be of all that come later. */
function pickAbsurd(dice: Dice): unknown {
  return structuredClone(dice.pick(ABSURD))
}

function mutateOnce(root: unknown, dice: Dice): void {
  let at = root
  for (let depth = 0; depth < 12; depth++) {
    if (typeof at !== 'object' || at === null) return
    const holder = at as Record<string, unknown>
    const keys = Object.keys(holder)
    if (keys.length === 0) return
    const key = dice.pick(keys)
    const inner = holder[key]
    const isLeaf = typeof inner !== 'object' || inner === null
    if (!isLeaf && dice.below(4) > 0) {
      at = inner
      continue
    }
    switch (dice.below(8)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1)
        else delete holder[key]
        break
      case 1: if (Array.isArray(holder)) holder.push(inner); break
      case 2: holder['unexpected'] = pickAbsurd(dice); break
      case 3: holder[key] = typeof inner === 'number' ? inner + dice.pick([-1, 1, 512, 2 ** 40])
        : pickAbsurd(dice); break
      default: holder[key] = pickAbsurd(dice)
    }
    return
  }
}

/** What a call came to: its value, or the Fault; anything else thrown fails the test. */
export async function outcomeOf<T>(
  call: () => Promise<T>, codes: readonly FaultCode[], what: string,
): Promise<{ readonly value: T } | { readonly code: FaultCode }> {
  try {
    return { value: await call() }
  } catch (error) {
    if (!isFault(error)) throw error
    assert.ok(codes.includes(error.code), `${what}: ${error.code}, ${error.message}`)
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(error.message, /[\u0000-\u001f\u007f-\u009f\u202e]/, what)
    return { code: error.code }
  }
}

/** Bytes on the heap and beside it that were added while `work` ran, as its caller sees them. */
export async function grownBytes(work: () => Promise<void>): Promise<number> {
  const sizeOf = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = sizeOf()
  await work()
  return sizeOf() - before
}
