/** Which of a machine's disks will be in the set. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DiskLeftOut } from '../../consistency/mod.ts'
import type { DiskAddress } from './disk-addresses.ts'

/** All disks of a machine: those that can be captured, and why the others cannot. */
export interface FoundDisks<Disk> {
  readonly disks: readonly Disk[]
  readonly leftOut: readonly DiskLeftOut[]
}

export interface DiscoveredDisks<Disk extends DiskAddress> extends FoundDisks<Disk> {
  /** Of both, as far as is told: what the guest says may be on a disk that is left out. */
  readonly addresses: readonly DiskAddress[]
}

/** All that can be captured but those of `exclude`. Faults: `nothing-to-back-up`. */
export function chooseDisks<Disk extends { readonly id: string }>(
  found: FoundDisks<Disk>, exclude: readonly string[]): FoundDisks<Disk> {
  const excluded = new Set(exclude)
  const disks = found.disks.filter(({ id }) => !excluded.has(id))
  const leftOut: readonly DiskLeftOut[] = [
    ...found.leftOut.map((disk): DiskLeftOut => excluded.has(disk.id)
      ? { ...disk, reason: 'excluded', detail: 'excluded by the operator' } : disk),
    ...found.disks.filter(({ id }) => excluded.has(id)).map(({ id }): DiskLeftOut => (
      { id, reason: 'excluded', detail: 'excluded by the operator' })),
  ]
  if (disks.length > 0) return { disks, leftOut }
  const why = leftOut.map(({ id, detail }) => `${id}: ${detail}`).join('; ')
  throw new Fault('nothing-to-back-up',
    `the machine has no disk that can be captured${why === '' ? '' : ` (${printable(why)})`}`)
}
