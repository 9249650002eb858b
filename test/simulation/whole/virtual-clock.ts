/** Virtual time: it stands still while anything can run, then leaps to the next timer. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { reasonOf, type Clock } from '../../../src/base/clock.ts'

interface Timer {
  readonly atMs: number
  fn: (() => void) | undefined
}

/** Virtual time after which work that is still under way counts as hanging. */
const PATIENCE_MS = 24 * 3_600_000

/**
 * All that waits must wait on this clock: real time, a thread or a socket would make one seed run
 * differently each time.
 */
export class VirtualClock implements Clock {
  #monotonicMs = 0
  #wallMs = 1_700_000_000_000
  /** In the order in which they fire. */
  readonly #timers: Timer[] = []

  nowMs(): number {
    return this.#wallMs + this.#monotonicMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }

  after(ms: number, fn: () => void): Disposable {
    const timer: Timer = { atMs: this.#monotonicMs + Math.max(0, ms), fn }
    let at = this.#timers.length
    while (at > 0 && (this.#timers[at - 1]?.atMs ?? 0) > timer.atMs) at--
    this.#timers.splice(at, 0, timer)
    return { [Symbol.dispose]: () => {
      if (timer.fn === undefined) return
      timer.fn = undefined
      this.#timers.splice(this.#timers.indexOf(timer), 1)
    } }
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallMs += ms
  }

  /** Lets time go on until `work` is done; throws where it hangs. */
  async runUntil<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const end = (): void => { isDone = true }
    work.then(end, end)
    const endMs = this.#monotonicMs + PATIENCE_MS
    for (;;) {
      await nextTurn()
      if (isDone) return work
      if (!this.#leap(endMs)) throw new Error('hangs: nothing will ever happen')
    }
  }

  async runFor(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms
    do await nextTurn()
    while (this.#leap(endMs))
    this.#monotonicMs = endMs
  }

  /** Fires the next timer; false if there is none up to `endMs`. */
  #leap(endMs: number): boolean {
    const [next] = this.#timers
    if (next === undefined || next.atMs > endMs) return false
    this.#timers.shift()
    this.#monotonicMs = next.atMs
    const { fn } = next
    next.fn = undefined
    fn?.()
    return true
  }
}

/** `sleep` for a clock that has `after`. */
export function sleepOn(clock: Pick<Clock, 'after'>, ms: number, signal: AbortSignal):
Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    const onAbort = (): void => {
      timer[Symbol.dispose]()
      reject(reasonOf(signal))
    }
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

export const NEVER = new AbortController().signal
