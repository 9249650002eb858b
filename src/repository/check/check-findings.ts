/** What a check finds and how far it is. */

import { throwIfAborted } from '../../base/clock.ts'
import { isFault, type Fault, type FaultCode } from '../../base/fault.ts'

export type CheckCode =
  | 'index-damaged' | 'snapshot-damaged'
  | 'tree-missing' | 'tree-damaged' | 'data-missing' | 'size-differs'
  | 'pack-missing' | 'pack-size' | 'pack-layout' | 'pack-mixed' | 'pack-orphan'
  | 'pack-damaged' | 'blob-damaged'

export interface CheckFinding {
  /** A `warning` costs nobody data: space that is lost, or a habit of other programs. */
  readonly severity: 'error' | 'warning'
  readonly code: CheckCode
  /** One sentence that names the file; foreign names in it are printable. */
  readonly message: string
}

export type CheckPhase = 'snapshots' | 'index' | 'packs' | 'trees' | 'data'

export type CheckEvent =
  | { readonly kind: 'progress'; readonly phase: CheckPhase; readonly done: number
      /** Undefined while it is not known, as for trees. */
      readonly total: number | undefined }
  | { readonly kind: 'finding'; readonly finding: CheckFinding }

export type OnCheckEvent = (event: CheckEvent) => void

/** A repository that lost a disk may have millions. */
export const MAX_KEPT_FINDINGS = 1000

/** Faults that say something of what is stored. */
const DAMAGE = ['repository-damaged', 'not-found', 'point-not-found'] as const

/** For a check, an answer that does not come is a finding too. */
const CHECK_FINDINGS: readonly FaultCode[] = [...DAMAGE, 'storage-failed']

export class CheckFindings {
  readonly kept: CheckFinding[] = []
  errors = 0
  warnings = 0
  readonly #onEvent: OnCheckEvent
  readonly #signal: AbortSignal
  readonly #codes: readonly FaultCode[]

  constructor(
    onEvent: OnCheckEvent, signal: AbortSignal, codes: readonly FaultCode[] = CHECK_FINDINGS) {
    this.#onEvent = onEvent
    this.#signal = signal
    this.#codes = codes
  }

  /** As a prune needs them, which shall fail with the store's fault where the store fails. */
  static ofDamage(onEvent: OnCheckEvent, signal: AbortSignal): CheckFindings {
    return new CheckFindings(onEvent, signal, DAMAGE)
  }

  add(severity: CheckFinding['severity'], code: CheckCode, message: string): void {
    const finding: CheckFinding = { severity, code, message }
    if (severity === 'error') this.errors++
    else this.warnings++
    if (this.kept.length < MAX_KEPT_FINDINGS) this.kept.push(finding)
    this.#onEvent({ kind: 'finding', finding })
  }

  progress(phase: CheckPhase, done: number, total: number | undefined): void {
    this.#onEvent({ kind: 'progress', phase, done, total })
  }

  /** What `step` returns, or the fault that says what is damaged or unreadable; others pass on. */
  async attempt<T>(step: () => T | Promise<T>): Promise<T | Fault> {
    throwIfAborted(this.#signal)
    try {
      return await step()
    } catch (error) {
      throwIfAborted(this.#signal)
      if (isFault(error, ...this.#codes)) return error
      throw error
    }
  }
}
