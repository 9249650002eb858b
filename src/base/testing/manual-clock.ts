/** A clock that moves only when told to. */

import { reasonOf, type Clock } from '../clock.ts'

export class ManualClock implements Clock {
  #nowMs: number
  #monotonicMs = 0
  readonly #timers: { readonly atMs: number; fn: (() => void) | undefined }[] = []

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(reasonOf(signal))
      const onAbort = (): void => {
        timer[Symbol.dispose]()
        reject(reasonOf(signal))
      }
      const timer = this.after(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  after(ms: number, fn: () => void): Disposable {
    const timer: { readonly atMs: number; fn: (() => void) | undefined } = {
      atMs: this.#monotonicMs + ms, fn }
    this.#timers.push(timer)
    return { [Symbol.dispose]: () => { timer.fn = undefined } }
  }

  /** Moves both clocks by `ms`, firing the timers on the way in their order. */
  advance(ms: number): void {
    const end = this.#monotonicMs + ms
    for (;;) {
      const due = this.#timers
        .filter((timer) => timer.fn !== undefined && timer.atMs <= end)
        .toSorted((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#move(Math.max(due.atMs, this.#monotonicMs))
      const { fn } = due
      due.fn = undefined
      fn?.()
    }
    this.#move(end)
  }

  #move(toMs: number): void {
    this.#nowMs += toMs - this.#monotonicMs
    this.#monotonicMs = toMs
  }
}
