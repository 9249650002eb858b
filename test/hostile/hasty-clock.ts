/** Time that runs ahead, so that the limits of silence are reached and nobody waits for them. */

import { systemClock, type Clock } from '../../src/base/clock.ts'

/** `pace` milliseconds of it go by in each real one. */
export function hastyClock(pace: number): Clock {
  const startMs = systemClock.nowMs()
  return {
    nowMs: () => startMs + (systemClock.nowMs() - startMs) * pace,
    monotonicMs: () => systemClock.monotonicMs() * pace,
    sleep: (ms, signal) => systemClock.sleep(ms / pace, signal),
    after: (ms, fn) => systemClock.after(ms / pace, fn),
  }
}
