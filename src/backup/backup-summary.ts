/** What a backup did: the summary that the command line prints and `--json` carries. */

import type { CommittedSet, Evidence, GradeResult, Judgement } from '../consistency/mod.ts'
import type { Sealed } from './seal.ts'

export interface BackupSummary {
  /** The restore point's UUID; also given where nothing was stored. */
  readonly pointId: string
  readonly machine: string
  /** The snapshot and its evidence's place, or why there is none. */
  readonly stored:
    | Sealed
    | { readonly not: 'weaker-than-required' | 'torn' }
  readonly result: GradeResult
  readonly judgement: Judgement
  /** What the result rests on. */
  readonly evidence: Evidence
  readonly method: CommittedSet['method']
  /** Null where nothing was held, or the hold's end is not known. */
  readonly heldMs: number | null
  readonly stalledMs: number | null
  readonly mode: 'full' | 'incremental'
  /** Why the mode is what it is. */
  readonly modeReason: string
  readonly sizeBytes: number
  readonly bytesRead: number
  readonly bytesAdded: number
  readonly durationMs: number
}
