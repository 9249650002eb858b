/** A store that fails on purpose, the same way for the same seed. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import type { FileKind, Storage, StorageFile } from '../storage.ts'

/** How often what goes wrong; chances from 0 to 1, all 0 by default. */
export interface FaultPlan {
  readonly seed: number
  /** An operation fails with `storage-failed` and without effect. */
  readonly errorChance?: number
  /** A put takes effect and then fails with `storage-failed`: the caller cannot know. */
  readonly unknownOutcomeChance?: number
  /** A read of a whole file or range lacks its last bytes, as after damage in the store. */
  readonly shortReadChance?: number
  /** An operation begins this many turns of the event loop later at most, so that they overtake. */
  readonly maxDelayTurns?: number
  /** After so many operations the connection is lost: all later ones are `storage-failed`. */
  readonly lostAfter?: number
  /** Only these kinds of files meet faults; default all. */
  readonly kinds?: readonly FileKind[]
}

/** `inner` with faults by `plan`. Disposes `inner`. */
export function faultyStorage(inner: Storage, plan: FaultPlan): Storage {
  const dice = diceOf(plan.seed)
  let count = 0

  const meets = (kind: FileKind, chance: number | undefined): boolean =>
    dice() < (chance ?? 0) && (plan.kinds?.includes(kind) ?? true)

  /** Delays, then fails where the plan says so. */
  const enter = async (what: string, kind: FileKind, signal: AbortSignal): Promise<void> => {
    const turns = Math.floor(dice() * ((plan.maxDelayTurns ?? 0) + 1))
    const isLost = count++ >= (plan.lostAfter ?? Infinity)
    const fails = meets(kind, plan.errorChance)
    for (let turn = 0; turn < turns; turn++) await nextTurn()
    throwIfAborted(signal)
    if (isLost) throw new Fault('storage-failed', `${what}: the connection is lost`)
    if (fails) throw failure(what)
  }

  return {
    location: inner.location,
    create: (signal) => inner.create(signal),
    put: async (file: StorageFile, parts, signal) => {
      const isUnknown = meets(file.kind, plan.unknownOutcomeChance)
      await enter(`put ${file.kind}`, file.kind, signal)
      await inner.put(file, parts, signal)
      if (isUnknown) throw failure(`put ${file.kind}: no answer`)
    },
    get: async (file, options, signal) => {
      const isShort = meets(file.kind, plan.shortReadChance)
      await enter(`get ${file.kind}`, file.kind, signal)
      const bytes = await inner.get(file, options, signal)
      return isShort ? bytes.slice(0, Math.floor(dice() * bytes.length)) : bytes
    },
    list: async function* (kind, signal) {
      await enter(`list ${kind}`, kind, signal)
      for await (const file of inner.list(kind, signal)) {
        yield file
        if (meets(kind, plan.errorChance)) throw failure(`list ${kind}`)
      }
    },
    remove: async (file, signal) => {
      await enter(`remove ${file.kind}`, file.kind, signal)
      await inner.remove(file, signal)
    },
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}

function failure(what: string): Fault {
  return new Fault('storage-failed', `${what} failed on purpose`, { retry: 'later' })
}

/** Numbers from 0 to just below 1. */
function diceOf(seed: number): () => number {
  const random = seededRandom(seed)
  let words = new Uint32Array(0)
  let at = 0
  return () => {
    if (at === words.length) {
      // One stream, drawn in pages: a call of `random` continues it.
      words = new Uint32Array(random(4 * 256).slice().buffer)
      at = 0
    }
    return (words[at++] ?? 0) / 2 ** 32
  }
}
