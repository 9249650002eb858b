/**
 * An application that runs transactions: each begins on its disks, and a little later is done.
 *
 * - `lock`: holds still while a session has its lock, and goes on when that session ends.
 * - `pause`: holds still until it is told to go on or its pause is over, whatever becomes of who
 *   asked for it.
 * - `log`: never holds still; it recovers from any one instant of all its disks, if its settings
 *   are safe.
 */

import type { Clock } from '../../../src/base/clock.ts'
import { Activity, type Span } from './activity.ts'
import type { ApplicationPlan } from './plan-of-machine.ts'
import { NEVER } from './virtual-clock.ts'

export const RECORD_BYTES = 16

/** Who holds it; ends when its owner dies. */
export interface Session {
  isOver: boolean
}

export interface ApplicationParts {
  readonly clock: Clock
  readonly spans: Span[]
  readonly settle: () => void
  readonly run: () => number
  readonly onHeld: () => void
  /** It cannot write: the machine is down, or one of its file systems is frozen. */
  readonly isStopped: () => boolean
}

export class ModelApplication {
  readonly plan: ApplicationPlan
  readonly activity: Activity
  /** The runs whose point it was told of. */
  readonly told = new Set<number>()
  readonly #parts: ApplicationParts
  #holder: Session | undefined
  #span: Span | undefined
  #pauseEnd: Disposable | undefined

  constructor(plan: ApplicationPlan, parts: ApplicationParts) {
    this.plan = plan
    this.#parts = parts
    this.activity = new Activity(
      parts.clock, () => this.#holder !== undefined || parts.isStopped())
  }

  get isHeld(): boolean {
    return this.#holder !== undefined
  }

  isHeldBy(session: Session): boolean {
    return this.#holder === session
  }

  /** Transactions begun and done so far. */
  record(): { readonly begun: number; readonly done: number } {
    const { everyMs, takesMs } = this.plan
    const runningMs = this.activity.settle()
    const before = Math.floor(runningMs / everyMs)
    return { begun: before + 1, done: before + (runningMs % everyMs >= takesMs ? 1 : 0) }
  }

  /** Waits for the transaction under way, then holds still; gives up when the session is over. */
  async hold(session: Session): Promise<void> {
    if (this.plan.kind === 'log') return
    for (;;) {
      const { begun, done } = this.record()
      if (session.isOver) return
      if (begun === done && this.#holder === undefined) break
      await this.#parts.clock.sleep(2, NEVER)
    }
    this.#parts.settle()
    this.#holder = session
    this.#span = {
      what: this.plan.name, run: this.#parts.run(),
      fromMs: this.#parts.clock.monotonicMs(), toMs: undefined }
    this.#parts.spans.push(this.#span)
    if (this.plan.kind === 'pause') {
      this.#pauseEnd = this.#parts.clock.after(this.plan.pauseMs, () => this.release(session))
    }
    this.#parts.onHeld()
  }

  release(session: Session): void {
    if (this.#holder !== session) return
    this.#parts.settle()
    this.#holder = undefined
    this.#pauseEnd?.[Symbol.dispose]()
    if (this.#span !== undefined) this.#span.toMs = this.#parts.clock.monotonicMs()
  }

  /** The connection is gone: a lock goes with it, a pause does not. */
  endSession(session: Session): void {
    session.isOver = true
    if (this.plan.kind === 'lock') this.release(session)
  }

  /** It goes on at once, and nobody is told. */
  restart(): void {
    if (this.#holder !== undefined) this.release(this.#holder)
  }
}
