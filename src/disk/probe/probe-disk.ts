/** Looks at a disk without mounting it: partitions, and what each holds. */

import { Fault } from '../../base/fault.ts'
import type { BlockSource } from '../block-source.ts'
import type { DiskProbe } from './volume.ts'

/**
 * Reads `source`'s partition table and the signatures of its volumes, a few megabytes at most
 * whatever the disk says. Damage is not a fault but a volume of kind `unknown`; faults are those
 * of reading.
 */
export async function probeDisk(source: BlockSource, signal: AbortSignal): Promise<DiskProbe> {
  throw new Fault('unsupported', `${source.name} ${signal.aborted}`)
}
