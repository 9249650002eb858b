/** A process that can be stopped and killed at any contact that it has with the world. */

import type { Clock } from '../../../src/base/clock.ts'
import { sleepOn, type VirtualClock } from './virtual-clock.ts'

/** A process's own view of time: while it is stopped, and once it is dead, nothing of it runs. */
export class ProcessClock implements Clock {
  readonly #common: VirtualClock
  #state: 'running' | 'stopped' | 'dead' = 'running'
  #waiting: (() => void)[] = []

  constructor(common: VirtualClock) {
    this.#common = common
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  nowMs(): number {
    return this.#common.nowMs()
  }

  monotonicMs(): number {
    return this.#common.monotonicMs()
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }

  after(ms: number, fn: () => void): Disposable {
    let isOff = false
    const timer = this.#common.after(ms, () => this.whenRunning(() => { if (!isOff) fn() }))
    return { [Symbol.dispose]: () => {
      isOff = true
      timer[Symbol.dispose]()
    } }
  }

  /** Runs `fn` now, or when the process goes on, or never. */
  whenRunning(fn: () => void): void {
    if (this.#state === 'running') fn()
    else if (this.#state === 'stopped') this.#waiting.push(fn)
  }

  untilRunning(): Promise<void> {
    return new Promise((resolve) => this.whenRunning(resolve))
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped'
  }

  go(): void {
    if (this.#state !== 'stopped') return
    this.#state = 'running'
    for (const fn of this.#waiting.splice(0)) this.#common.after(0, () => this.whenRunning(fn))
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }
}

export interface ProcessParts {
  readonly common: VirtualClock
  readonly note: (text: string) => void
  /** The process is killed at this contact, counted from 1; each has a beginning and an end. */
  readonly dieAt: number | undefined
  /** The world notices its death: pipes and sockets close. */
  readonly onDeath: () => void
}

/** The requestor's process. What it asks of the world goes through `outside`. */
export class SimulatedProcess {
  readonly clock: ProcessClock
  readonly died: Promise<'killed'>
  readonly #parts: ProcessParts
  readonly #death = Promise.withResolvers<'killed'>()
  #contacts = 0
  #hasEnded = false

  constructor(parts: ProcessParts) {
    this.#parts = parts
    this.clock = new ProcessClock(parts.common)
    this.died = this.#death.promise
  }

  get isDead(): boolean {
    return this.clock.isDead
  }

  /** How often it has touched the world. */
  get contacts(): number {
    return this.#contacts
  }

  /** It came to its end by itself: nothing can happen to it any more. */
  end(): void {
    this.#hasEnded = true
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  kill(): void {
    if (this.isDead || this.#hasEnded) return
    this.#parts.note('the requestor is killed')
    this.clock.kill()
    this.#parts.onDeath()
    this.#death.resolve('killed')
  }

  /** One side of a contact that cannot wait; false if the process did not live to make it. */
  touch(what: string): boolean {
    if (this.isDead) return false
    if (++this.#contacts === this.#parts.dieAt) {
      this.#parts.note(`at ${what}:`)
      this.kill()
    }
    return !this.isDead
  }

  /** What `run` gives; if the process dies before or after it has its effect, nothing ever. */
  async outside<T>(what: string, run: () => Promise<T>): Promise<T> {
    await this.#side(what)
    try {
      return await run()
    } finally {
      await this.#side(`the answer of ${what}`)
    }
  }

  async #side(what: string): Promise<void> {
    await this.clock.untilRunning()
    if (!this.touch(what)) await new Promise(() => {})
  }
}
