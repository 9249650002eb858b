/** Looks at a disk without mounting it: partitions, and what each holds. */

import { throwIfAborted } from '../../base/clock.ts'
import type { BlockSource } from '../block-source.ts'
import { readPartitionTable, type Partition } from './partitions.ts'
import { recognise } from './recognise.ts'
import type { DiskProbe, ProbedVolume } from './volume.ts'
import { windowOf } from './window.ts'

/**
 * Reads `source`'s partition table and the signatures of its volumes: of each volume less than
 * 300 KiB, of at most 256 volumes, whatever the disk says. Damage is not a fault but a volume of
 * kind `unknown`; faults are those of reading.
 */
export async function probeDisk(source: BlockSource, signal: AbortSignal): Promise<DiskProbe> {
  throwIfAborted(signal)
  const disk = windowOf(source, 0, source.sizeBytes, signal)
  const whole = await recognise(disk)
  // A FAT or NTFS boot sector ends like an MBR, and its code can look like partitions.
  const isBootSector = whole.kind === 'vfat' || whole.kind === 'ntfs'
  const found = isBootSector ? undefined : await readPartitionTable(disk)
  if (found === undefined || found === 'damaged') {
    const detail = found === 'damaged'
      ? 'a GPT should be here, both its headers are damaged' : whole.detail
    return { table: 'none', volumes: [{ offset: 0, length: source.sizeBytes, ...whole, detail }] }
  }
  const volumes: ProbedVolume[] = []
  for (const partition of found.partitions) {
    volumes.push(await probePartition(source, partition, signal))
  }
  return { table: found.table, volumes }
}

async function probePartition(
  source: BlockSource, partition: Partition, signal: AbortSignal): Promise<ProbedVolume> {
  const offset = Math.min(partition.offset, source.sizeBytes)
  const length = Math.min(partition.length, source.sizeBytes - offset)
  const recognised = await recognise(windowOf(source, offset, length, signal))
  if (length === partition.length) return { ...partition, ...recognised }
  const detail = `${recognised.detail}; runs past the end of the disk`
  // What was not there to be looked at is not known to be blank.
  const kind = recognised.kind === 'blank' ? 'unknown' : recognised.kind
  return { ...partition, ...recognised, kind, offset, length, detail }
}
