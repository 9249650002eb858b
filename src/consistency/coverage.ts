/** Which disks of the machine are in the point, and why others are not (docs/grades.md). */

export type LeftOutReason =
  | 'excluded' // named by the operator
  | 'read-only' // a CD-ROM or a write-protected medium: nothing of the machine's own
  | 'empty' // a drive without medium
  | 'unsupported' // of a kind that the provider cannot capture; the detail says why
  | 'independent' | 'pass-through' | 'shared'
  | 'hot-added' | 'hot-removed'

export interface DiskLeftOut {
  readonly id: string
  readonly reason: LeftOutReason
  /** Plain words for the operator. */
  readonly detail: string
}

/** `whole` with `leftOut` of harmless kinds only; otherwise `partial`. */
export interface Coverage {
  readonly kind: 'whole' | 'partial'
  readonly leftOut: readonly DiskLeftOut[]
}

/** Coverage as `gradeOf` finds it in the evidence. */
export interface CoverageResult extends Coverage {
  /** Those of `leftOut` that matter and that no `exclude:` names: exit code 3. */
  readonly unaccepted: readonly DiskLeftOut[]
  /** False if the disks were not read again behind the instant: then never `whole`. */
  readonly rechecked: boolean
}

/** Media that hold nothing of the machine's own. */
const HARMLESS: ReadonlySet<LeftOutReason> = new Set(['read-only', 'empty'])

/** `excludes` are disk ids; a disk left out for any reason is accepted if it is among them. */
export function coverageOf(
  leftOut: readonly DiskLeftOut[], excludes: readonly string[], rechecked: boolean,
): CoverageResult {
  const missing = leftOut.filter((disk) => !HARMLESS.has(disk.reason))
  return {
    kind: missing.length === 0 && rechecked ? 'whole' : 'partial',
    leftOut,
    unaccepted: missing.filter((disk) => !excludes.includes(disk.id)),
    rechecked,
  }
}
