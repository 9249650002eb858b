/**
 * One thing that is frozen and thawed: the guest's file systems, or an application.
 *
 * Measures both, bounds both, and thaws by itself when the hold passes its limit, so that nothing
 * stays held because a commit hangs.
 */

import { abortable, deadline, type Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'

export interface StepLimits {
  readonly freezeMs: number
  readonly holdMs: number
  readonly thawMs: number
}

/** What both SPIs call an attempt. */
export interface Attempt<Held, Outcome> {
  readonly held: Promise<Held>
  thaw(): Promise<Outcome>
}

/** Noted in memory while held; to be logged afterwards. */
export interface HoldEvent {
  /** Our monotonic clock. */
  readonly atMs: number
  readonly event:
    | 'freeze-issued' | 'freeze-acknowledged' | 'freeze-failed' | 'hold-limit-passed'
    | 'thaw-issued' | 'thaw-answered' | 'thaw-unanswered' | 'commit-issued' | 'commit-done'
    | 'commit-failed'
  /** `file systems`, `postgres 15/main` …; empty for the commit. */
  readonly subject: string
  readonly detail: string
}

export type Note = (event: HoldEvent) => void

/** The SPIs keep these limits themselves; who overstays by this much will never answer. */
const GRACE_MS = 1000

export type FreezeResult<Held> =
  | { readonly state: 'acknowledged'; readonly issuedMs: number; readonly acknowledgedMs: number
      readonly answer: Held }
  | { readonly state: 'failed'; readonly issuedMs: number; readonly failedMs: number
      readonly error: unknown }

export interface ThawResult<Outcome> {
  readonly issuedMs: number
  readonly answeredMs: number
  /** Undefined if nothing came within the limit. */
  readonly outcome: Outcome | undefined
}

export class HoldStep<Held, Outcome> {
  readonly subject: string
  readonly #begin: () => Attempt<Held, Outcome>
  readonly #limits: StepLimits
  readonly #clock: Clock
  readonly #note: Note
  #attempt: Attempt<Held, Outcome> | undefined
  #frozen: FreezeResult<Held> | undefined
  #limit: Disposable | undefined
  #thawed: Promise<ThawResult<Outcome> | undefined> | undefined

  constructor(
    subject: string, begin: () => Attempt<Held, Outcome>, limits: StepLimits, clock: Clock,
    note: Note) {
    this.subject = subject
    this.#begin = begin
    this.#limits = limits
    this.#clock = clock
    this.#note = note
  }

  /** What became of the freeze; undefined if none was begun. */
  get frozen(): FreezeResult<Held> | undefined {
    return this.#frozen
  }

  /** Begins, and waits for the answer, the limit or the signal. Never rejects. */
  async freeze(signal: AbortSignal): Promise<FreezeResult<Held>> {
    const issuedMs = this.#noted('freeze-issued')
    this.#attempt = this.#begin()
    this.#attempt.held.catch(() => {}) // it may fail after nobody waits for it any more
    const { freezeMs, holdMs } = this.#limits
    using limit = deadline(
      this.#clock, freezeMs + GRACE_MS, `the freeze of ${this.subject}`, signal)
    try {
      const answer = await abortable(this.#attempt.held, limit.signal)
      const acknowledgedMs = this.#noted('freeze-acknowledged')
      this.#limit = this.#clock.after(holdMs, () => {
        this.#noted('hold-limit-passed')
        void this.thaw()
      })
      this.#frozen = { state: 'acknowledged', issuedMs, acknowledgedMs, answer }
    } catch (error) {
      const failedMs = this.#noted('freeze-failed', messageOf(error))
      this.#frozen = { state: 'failed', issuedMs, failedMs, error }
    }
    return this.#frozen
  }

  /**
   * Thaws if a freeze was begun, whatever became of it; undefined if none was. Later calls return
   * the first result. Never rejects, and never takes longer than the limit of the thaw.
   */
  thaw(): Promise<ThawResult<Outcome> | undefined> {
    this.#thawed ??= this.#thaw()
    return this.#thawed
  }

  async #thaw(): Promise<ThawResult<Outcome> | undefined> {
    this.#limit?.[Symbol.dispose]()
    if (this.#attempt === undefined) return undefined
    const issuedMs = this.#noted('thaw-issued')
    using limit = deadline(
      this.#clock, this.#limits.thawMs + GRACE_MS, `the thaw of ${this.subject}`)
    try {
      const outcome = await abortable(this.#attempt.thaw(), limit.signal)
      return { issuedMs, answeredMs: this.#noted('thaw-answered'), outcome }
    } catch (error) {
      return {
        issuedMs, answeredMs: this.#noted('thaw-unanswered', messageOf(error)), outcome: undefined }
    }
  }

  #noted(event: HoldEvent['event'], detail = ''): number {
    const atMs = this.#clock.monotonicMs()
    this.#note({ atMs, event, subject: this.subject, detail })
    return atMs
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Why a failed freeze failed, as a Fault. */
export function freezeFault(subject: string, error: unknown): Fault {
  return error instanceof Fault ? error
    : new Fault('freeze-failed', `${subject} could not be frozen`, { cause: error })
}
