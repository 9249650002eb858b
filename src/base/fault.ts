/**
 * The faults that Stillpoint expects and can explain.
 *
 * A `Fault` is an expected failure with advice for the operator; callers branch on `code` and
 * `retry`, never on text. A broken invariant is an `assert`, not a Fault (STYLE.md "Errors").
 */

import { FAULT_CODES, type FaultCode } from './fault-codes.ts'

export type { FaultCode }

/** Whether the same call may work: `never` without a change, `later` unchanged, `now` at once. */
export type Retry = 'never' | 'later' | 'now'

export interface FaultOptions {
  readonly cause?: unknown
  readonly retry?: Retry
  /** What the operator should do, one sentence. */
  readonly advice?: string
}

export class Fault extends Error {
  readonly code: FaultCode
  readonly retry: Retry
  readonly advice: string | undefined

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.code = code
    this.retry = options.retry ?? 'never'
    this.advice = options.advice
  }

  /** The program's exit code for this fault: 1 unless the table says otherwise. */
  get exitCode(): number {
    return FAULT_CODES[this.code].exitCode
  }
}

/** True if `error` is a Fault, of one of `codes` if any are given. */
export function isFault(error: unknown, ...codes: readonly FaultCode[]): error is Fault {
  return error instanceof Fault && (codes.length === 0 || codes.includes(error.code))
}

/** The messages of `error` and its causes, outermost first, one an entry, no stacks. */
export function causesOf(error: unknown): readonly string[] {
  const messages: string[] = []
  let current: unknown = error
  while (current !== undefined && current !== null && messages.length < 8) {
    if (!(current instanceof Error)) {
      messages.push(typeof current === 'string' ? current : JSON.stringify(current))
      break
    }
    if (messages.at(-1) !== current.message) messages.push(current.message)
    current = current.cause
  }
  return messages
}
