/** How long something has been going on, counted when asked: no timer ticks for it. */

import type { Clock } from '../../../src/base/clock.ts'

export class Activity {
  readonly #clock: Clock
  readonly #isStill: () => boolean
  #runningMs = 0
  #countedMs: number

  constructor(clock: Clock, isStill: () => boolean) {
    this.#clock = clock
    this.#isStill = isStill
    this.#countedMs = clock.monotonicMs()
  }

  /** Call it before anything changes that `isStill` depends on. */
  settle(): number {
    const nowMs = this.#clock.monotonicMs()
    if (!this.#isStill()) this.#runningMs += nowMs - this.#countedMs
    this.#countedMs = nowMs
    return this.#runningMs
  }
}

/** From when until when something was held. */
export interface Span {
  readonly what: string
  /** The run of the requestor under way when it began. */
  readonly run: number
  readonly fromMs: number
  toMs: number | undefined
}
