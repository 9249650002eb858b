/** Runs code that waits on a ManualClock, which moves whenever nothing else does. */

import { setImmediate } from 'node:timers/promises'
import type { ManualClock } from '../../base/testing/manual-clock.ts'

/** Virtual time after which a promise that is still pending counts as hanging. */
const PATIENCE_MS = 3_600_000

/** The outcome of `promise`, with the clock moved on in steps, at first small, until it settles. */
export async function drive<T>(
  clock: ManualClock, promise: Promise<T>, firstStepMs = 1): Promise<T> {
  let isSettled = false
  promise.then(() => { isSettled = true }, () => { isSettled = true })
  for (let stepMs = firstStepMs, totalMs = 0; totalMs < PATIENCE_MS; totalMs += stepMs) {
    await setImmediate()
    if (isSettled) return promise
    clock.advance(stepMs)
    if (totalMs > 1000 * stepMs) stepMs *= 2
  }
  throw new Error('hangs: nothing happened in an hour of virtual time')
}
