/** Time of a simulation: it moves with the turns of the event loop, and hosts can be suspended. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../src/base/clock.ts'
import { ManualClock } from '../../src/base/testing/manual-clock.ts'

/** Lets everything that is ready to run, run. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await nextTurn()
}

/** For work in threads: it takes real time, and must not find that hours have passed. */
export const THREADS_MS_PER_TURN = 0.1

/** A clock that goes on by `msPerTurn` each turn, until `work` is done. */
export class SimulatedClock extends ManualClock {
  async runUntil<T>(work: Promise<T>, msPerTurn = 25): Promise<T> {
    let isRunning = true
    const end = (): void => { isRunning = false }
    work.then(end, end)
    while (isRunning) {
      await nextTurn()
      this.advance(msPerTurn)
    }
    return work
  }
}

/** A host's view of the common clock; while it is suspended nothing of it happens. */
export class HostClock implements Clock {
  readonly #common: Clock
  #running: PromiseWithResolvers<void> | undefined
  #suspendedAtMs = 0
  #lostMs = 0
  #overdue: (() => void)[] = []

  constructor(common: Clock) {
    this.#common = common
  }

  nowMs(): number {
    return this.#common.nowMs()
  }

  /** Stands still while the host does, as Linux's does. */
  monotonicMs(): number {
    const nowMs = this.#running === undefined ? this.#common.monotonicMs() : this.#suspendedAtMs
    return nowMs - this.#lostMs
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    await this.#common.sleep(ms, signal)
    await this.untilRunning()
  }

  after(ms: number, fn: () => void): Disposable {
    let isOff = false
    const fire = (): void => { if (!isOff) fn() }
    const timer = this.#common.after(ms, () => {
      if (this.#running === undefined) fire()
      else this.#overdue.push(fire)
    })
    return { [Symbol.dispose]: () => {
      isOff = true
      timer[Symbol.dispose]()
    } }
  }

  suspend(): void {
    if (this.#running !== undefined) return
    this.#suspendedAtMs = this.#common.monotonicMs()
    this.#running = Promise.withResolvers()
  }

  /** Timers that were due meanwhile fire late, after what was ready to run: the worst case. */
  resume(): void {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    this.#lostMs += this.#common.monotonicMs() - this.#suspendedAtMs
    const overdue = this.#overdue
    this.#overdue = []
    running.resolve()
    this.#common.after(60_000, () => { for (const fire of overdue) fire() })
  }

  async untilRunning(): Promise<void> {
    while (this.#running !== undefined) await this.#running.promise
  }
}
