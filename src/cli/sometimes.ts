/** Keeps frequent news from flooding whoever reads them. */

import type { Clock } from '../base/clock.ts'

/** restic's pace for programs that read along. */
const EVERY_MS = 1000

/** True at the first call, and then at most once in `everyMs`. */
export function sometimes(clock: Clock, everyMs = EVERY_MS): () => boolean {
  let nextMs = -Infinity
  return () => {
    const nowMs = clock.monotonicMs()
    if (nowMs < nextMs) return false
    nextMs = nowMs + everyMs
    return true
  }
}
