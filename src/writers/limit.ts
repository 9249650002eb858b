/** Waits that end: each step of a writer has a limit, and passing it is `writer-timeout`. */

import { abortable, deadline, type Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'

/**
 * What `run` gives, or `writer-timeout` after `limitMs`, or the parent's reason if it aborts first.
 * `run` itself goes on unheard: whoever calls this ends what it waited for.
 */
export async function within<T>(
  clock: Clock, limitMs: number, what: string, run: () => Promise<T>, parent?: AbortSignal,
): Promise<T> {
  using limit = deadline(clock, limitMs, what, parent)
  try {
    return await abortable(run(), limit.signal)
  } catch (error) {
    if (!isFault(error, 'timed-out') || parent?.aborted === true) throw error
    throw new Fault('writer-timeout', error.message, { cause: error.cause, retry: 'later' })
  }
}
