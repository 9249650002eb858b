/** Which of a machine's disks will be in the set. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DiskLeftOut } from '../../consistency/mod.ts'
import type { DiscoveredDisks } from './disks.ts'

/** All that can be captured but those of `exclude`. Faults: `nothing-to-back-up`. */
export function chooseDisks(found: DiscoveredDisks, exclude: readonly string[]): DiscoveredDisks {
  const excluded = new Set(exclude)
  const disks = found.disks.filter(({ id }) => !excluded.has(id))
  const leftOut: readonly DiskLeftOut[] = [
    ...found.leftOut.map((disk): DiskLeftOut => excluded.has(disk.id)
      ? { ...disk, reason: 'excluded', detail: 'excluded by the operator' } : disk),
    ...found.disks.filter(({ id }) => excluded.has(id)).map(({ id }): DiskLeftOut => (
      { id, reason: 'excluded', detail: 'excluded by the operator' })),
  ]
  if (disks.length > 0) return { ...found, disks, leftOut }
  const why = leftOut.map(({ id, detail }) => `${id}: ${detail}`).join('; ')
  throw new Fault('nothing-to-back-up',
    `the machine has no disk that can be captured${why === '' ? '' : ` (${printable(why)})`}`)
}
