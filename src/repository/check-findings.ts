/** What a check finds and how far it is. */

import { throwIfAborted } from '../base/clock.ts'
import { isFault, type Fault } from '../base/fault.ts'

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

export class CheckFindings {
  readonly kept: CheckFinding[] = []
  errors = 0
  warnings = 0
  readonly #onEvent: OnCheckEvent
  readonly #signal: AbortSignal

  constructor(onEvent: OnCheckEvent, signal: AbortSignal) {
    this.#onEvent = onEvent
    this.#signal = signal
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
      const isFinding = isFault(
        error, 'repository-damaged', 'not-found', 'point-not-found', 'storage-failed')
      if (isFinding) return error
      throw error
    }
  }
}
