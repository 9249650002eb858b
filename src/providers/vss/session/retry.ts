/**
 * What becomes of a backup that VSS or a writer failed: redone after a while, redone without a
 * writer, kept as weaker, or given up. Pure; docs/vss-explained.md has the table, and what stands
 * there as not to be retried is not.
 */

import { VSS_E, type Hresult } from './hresult.ts'

/** How often a failure is worth the same backup again, and after how long. */
export interface RetryRule {
  readonly waitMs: number
  readonly redos: number
}

const TEN_MINUTES = 600_000
const HALF_A_MINUTE = 30_000

/**
 * OUTOFRESOURCES and TIMEOUT as documented: ten minutes, three times. RETRYABLE is for one redo;
 * if it stays, a service wants a restart. Time-outs of the ten seconds in which writes are held and
 * of transactions pass with the load. Too many sessions at once pass when others end.
 */
const RULES: ReadonlyMap<Hresult, RetryRule> = new Map<Hresult, RetryRule>([
  [VSS_E.WRITERERROR_OUTOFRESOURCES, { waitMs: TEN_MINUTES, redos: 3 }],
  [VSS_E.WRITERERROR_TIMEOUT, { waitMs: TEN_MINUTES, redos: 3 }],
  [VSS_E.WRITERERROR_RETRYABLE, { waitMs: HALF_A_MINUTE, redos: 1 }],
  [VSS_E.FLUSH_WRITES_TIMEOUT, { waitMs: HALF_A_MINUTE, redos: 2 }],
  [VSS_E.HOLD_WRITES_TIMEOUT, { waitMs: HALF_A_MINUTE, redos: 2 }],
  [VSS_E.TRANSACTION_FREEZE_TIMEOUT, { waitMs: HALF_A_MINUTE, redos: 2 }],
  [VSS_E.TRANSACTION_THAW_TIMEOUT, { waitMs: HALF_A_MINUTE, redos: 2 }],
  [VSS_E.WRITER_STATUS_NOT_AVAILABLE, { waitMs: HALF_A_MINUTE, redos: 2 }],
  // Every 5 s for ten minutes: another requestor is in the few seconds of its own set.
  [VSS_E.SNAPSHOT_SET_IN_PROGRESS, { waitMs: 5_000, redos: 120 }],
])

export function retryRule(hresult: Hresult): RetryRule | undefined {
  return RULES.get(hresult)
}

export interface FailedAttempt {
  /** True where only writers failed, and there is a set all the same. */
  readonly isMade: boolean
  /** What the failing call of VSS ended with; null where it was none. */
  readonly step: Hresult | null
  /** Failures of writers whose components were added. */
  readonly writers: readonly { readonly writerId: string; readonly failure: Hresult }[]
}

export type Verdict =
  | { readonly next: 'again'; readonly waitMs: number; readonly because: Hresult }
  /** Once more, without the components of these writers: they would make it fail again. */
  | { readonly next: 'without'; readonly writerIds: readonly string[] }
  /** The set is there; what failed is graded down. */
  | { readonly next: 'keep' }
  | { readonly next: 'give-up' }

/**
 * `redone` counts the redos so far by the code that caused each. What writers say goes before the
 * code of the call, which only repeats that something failed.
 */
export function judgeAttempt(
  failed: FailedAttempt, redone: ReadonlyMap<Hresult, number>): Verdict {
  const codes = [...new Set(failed.writers.map(({ failure }) => failure))]
  const worthIt = (code: Hresult): boolean =>
    (redone.get(code) ?? 0) < (RULES.get(code)?.redos ?? 0)
  // One that will fail again makes a redo for the sake of another pointless only if it is a veto.
  const again = codes.filter(worthIt)
  const lasting = codes.filter((code) => !worthIt(code))
  if (!failed.isMade && lasting.length > 0) {
    const writerIds = failed.writers.filter(({ failure }) => lasting.includes(failure))
      .map(({ writerId }) => writerId)
    return { next: 'without', writerIds: [...new Set(writerIds)] }
  }
  const [first] = again.length > 0 ? again.toSorted((a, b) => waitOf(b) - waitOf(a))
    : failed.step !== null && worthIt(failed.step) ? [failed.step] : []
  if (first !== undefined) return { next: 'again', waitMs: waitOf(first), because: first }
  return { next: failed.isMade ? 'keep' : 'give-up' }
}

function waitOf(code: Hresult): number {
  return RULES.get(code)?.waitMs ?? 0
}
