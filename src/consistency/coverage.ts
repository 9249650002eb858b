/** Which disks of the machine are in the point, and why others are not (DESIGN §4 "Coverage"). */

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
