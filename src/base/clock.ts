/** Time, passed in. The only file that touches `Date`, timers and abort time-outs. */

import { Fault } from './fault.ts'

export interface Clock {
  /** Wall time in milliseconds since 1970, UTC. Never used to measure a duration. */
  nowMs(): number
  /** A clock that never steps, in milliseconds with fractions; only differences mean something. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when aborted before. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** Calls `fn` once after `ms` unless disposed before. Does not keep the process alive. */
  after(ms: number, fn: () => void): Disposable
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(reasonOf(signal))
      const onAbort = (): void => {
        clearTimeout(timer)
        reject(reasonOf(signal))
      }
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal.addEventListener('abort', onAbort, { once: true })
    }),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}

/** A wall time (milliseconds since 1970) as ISO 8601 in UTC, with three digits of fraction. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

/** The wall time that an ISO 8601 or RFC 3339 text gives, fraction cut to ms; NaN if it is none. */
export function isoTimeMs(text: string): number {
  return Date.parse(text.replace(/(\.\d{3})\d+/, '$1'))
}

/** A signal that aborts when a parent does or when its time is over; dispose it when done. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal
}

/**
 * A deadline of `limitMs` from now, also aborted by `parent`. Its reason is a `timed-out` Fault
 * that says `what` did not finish. Give no parent for clean-up, which must outlive its caller.
 */
export function deadline(
  clock: Clock, limitMs: number, what: string, parent?: AbortSignal): Deadline {
  const controller = new AbortController()
  const onParent = (): void => controller.abort(parent?.reason)
  const timer = clock.after(limitMs, () => {
    controller.abort(
      new Fault('timed-out', `${what} did not finish within ${limitMs} ms`, { retry: 'later' }))
  })
  if (parent?.aborted === true) onParent()
  else parent?.addEventListener('abort', onParent, { once: true })
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]()
      parent?.removeEventListener('abort', onParent)
    },
  }
}

/** The Error a signal was aborted with; a plain `abort()` becomes an `interrupted` Fault. */
export function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason
  if (reason instanceof Error && reason.name !== 'AbortError') return reason
  return new Fault('interrupted', 'interrupted', { cause: reason })
}

/** Throws the signal's reason if it is aborted. Call it before each step that changes something. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw reasonOf(signal)
}

/** `promise`, or the signal's reason if that comes first; the promise itself goes on unheard. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {}) // if it is aborted already, nobody else will hear of its failure
  throwIfAborted(signal)
  let onAbort = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(reasonOf(signal))
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
