/**
 * Turns of the event loop: long work cut into short ones, and how long the longest was. While a
 * turn lasts nobody is heard, be it a timer, a signal or the end of a process.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock, throwIfAborted, type Clock } from './clock.ts'

/** Work that may be left wherever it yields, and gone on with later. It yields every few ms. */
export type Work<T> = Generator<undefined, T, undefined>

/** All of it in this turn. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** A turn is over behind the first step that ends later than this. */
const SLICE_MS = 5

/** In turns of its own, with others between them. Faults: what it throws, the signal's reason. */
export async function inTurns<T>(work: Work<T>, clock: Clock, signal: AbortSignal): Promise<T> {
  for (;;) {
    await nextTurn()
    throwIfAborted(signal)
    const begunMs = clock.monotonicMs()
    do {
      const step = work.next()
      if (step.done === true) return step.value
    } while (clock.monotonicMs() - begunMs < SLICE_MS)
  }
}

/** So many items of a list are one step. */
const STEP_ITEMS = 100

export function* mapping<T, U>(
  items: Iterable<T>, map: (item: T) => U): Work<U[]> {
  const mapped: U[] = []
  let count = 0
  for (const item of items) {
    mapped.push(map(item))
    if (++count % STEP_ITEMS === 0) yield
  }
  return mapped
}

/** Both are 0 where nothing was measured yet. */
export interface LongestTurn {
  /** As it was for whoever waited; with what else the machine had to do. */
  readonly wallMs: number
  /** Of the processor, for this thread alone. Windows counts it in steps of 16 ms, wine of 10. */
  readonly cpuMs: number
}

const TICK_MS = 10
const MICROSECONDS_A_MS = 1000

/**
 * Watches the loop of this thread from now on. It ticks every 10 ms; what lies between two ticks is
 * one turn, and the wait for the second: processor time is up to one tick too much.
 */
export class TurnWatch implements Disposable {
  #timer: Disposable
  #wallMs = systemClock.monotonicMs()
  #cpu = process.threadCpuUsage()
  #longest: LongestTurn = { wallMs: 0, cpuMs: 0 }

  constructor() {
    this.#timer = this.#next()
  }

  /** The turn that asks is the last one that counts in it. */
  get longest(): LongestTurn {
    this.#measure()
    return this.#longest
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]()
  }

  #next(): Disposable {
    return systemClock.after(TICK_MS, () => {
      this.#measure()
      this.#timer = this.#next()
    })
  }

  #measure(): void {
    const { user, system } = process.threadCpuUsage(this.#cpu)
    const wallMs = systemClock.monotonicMs() - this.#wallMs - TICK_MS
    this.#longest = {
      wallMs: Math.max(this.#longest.wallMs, wallMs),
      cpuMs: Math.max(this.#longest.cpuMs, (user + system) / MICROSECONDS_A_MS),
    }
    this.#cpu = process.threadCpuUsage()
    this.#wallMs = systemClock.monotonicMs()
  }
}
