/** What is prepared for a requestor, and lets go by itself when nobody asks for that. */

import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { PreparedWriter, WriterAttempt, WriterThawOutcome } from '../consistency/mod.ts'

/** Beyond the hold's limit, which the requestor keeps: then the agent releases by itself. */
export const DEAD_MAN_GRACE_MS = 1000

/** One prepared application and its dead man's handle. */
export class Held {
  readonly #writer: PreparedWriter
  readonly #clock: Clock
  readonly #holds: Set<object> | undefined
  #attempt: WriterAttempt | undefined
  #deadMan: Disposable | undefined
  /** Released before the requestor asked for it: the hold is void, whatever the writer says. */
  #isEarly = false

  /** `holds` has it while it is held. */
  constructor(writer: PreparedWriter, clock: Clock, holds?: Set<object>) {
    this.#writer = writer
    this.#clock = clock
    this.#holds = holds
  }

  get writer(): PreparedWriter {
    return this.#writer
  }

  async freeze(): Promise<Awaited<WriterAttempt['held']>> {
    const { freezeMs, holdMs } = this.#writer.limits
    const attempt = this.#writer.beginFreeze()
    this.#attempt = attempt
    this.#holds?.add(this)
    this.#deadMan ??= this.#clock.after(freezeMs + holdMs + DEAD_MAN_GRACE_MS, () => this.#letGo())
    const held = await attempt.held
    this.#deadMan[Symbol.dispose]()
    this.#deadMan = this.#clock.after(holdMs + DEAD_MAN_GRACE_MS, () => this.#letGo())
    return held
  }

  #letGo(): void {
    this.#isEarly = true
    void this.#attempt?.thaw().then(() => this.#holds?.delete(this))
  }

  async thaw(): Promise<WriterThawOutcome> {
    this.#deadMan?.[Symbol.dispose]()
    if (this.#attempt === undefined) {
      return { state: 'unknown', detail: 'it was never asked to hold still' }
    }
    const outcome = await this.#attempt.thaw()
    this.#holds?.delete(this)
    return outcome.state === 'thawed' && this.#isEarly ? {
      ...outcome, heldThroughout: false,
      statement: `released by the agent at its limit, before it was asked; ${outcome.statement}`,
    } : outcome
  }

  complete(signal: AbortSignal): ReturnType<PreparedWriter['complete']> {
    return this.#writer.complete(signal)
  }

  /** Thaws, whatever was asked before, and gives the application up. Never rejects. */
  async release(): Promise<void> {
    this.#deadMan?.[Symbol.dispose]()
    await this.#attempt?.thaw()
    this.#holds?.delete(this)
    await this.#writer[Symbol.asyncDispose]()
  }
}

export function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error
  return new Fault('writer-failed', error instanceof Error ? error.message : String(error))
}
