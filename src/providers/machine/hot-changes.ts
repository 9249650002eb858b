/** What of a machine's disks was added or taken away while a backup ran. */

import type { DiskLeftOut } from '../../consistency/mod.ts'

interface Disks {
  readonly disks: readonly { readonly id: string }[]
  readonly leftOut: readonly { readonly id: string }[]
}

/** `before` as prepared, with what was left out; `now` as it is behind the instant. */
export function hotChanges(before: Disks, now: Disks): readonly DiskLeftOut[] {
  const known = new Set([...before.disks, ...before.leftOut].map(({ id }) => id))
  const present = new Set([...now.disks, ...now.leftOut].map(({ id }) => id))
  return [
    ...now.disks.filter(({ id }) => !known.has(id)).map(({ id }): DiskLeftOut => (
      { id, reason: 'hot-added', detail: 'added while the backup ran' })),
    ...before.disks.filter(({ id }) => !present.has(id)).map(({ id }): DiskLeftOut => (
      { id, reason: 'hot-removed', detail: 'removed while the backup ran' })),
  ]
}
