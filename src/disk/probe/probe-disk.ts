/** Looks at a disk without mounting it: partitions, and what each holds. */

import { throwIfAborted } from '../../base/clock.ts'
import type { BlockSource } from '../block-source.ts'
import { recogniseBlank } from './blank.ts'
import { recogniseIso9660, recogniseLuks, recogniseLvm2, recogniseSwap } from './containers.ts'
import { recogniseBtrfs, recogniseExt, recogniseXfs } from './linux-file-systems.ts'
import { recogniseNtfs } from './ntfs.ts'
import { readPartitionTable, type Partition } from './partitions.ts'
import { recogniseVfat } from './vfat.ts'
import type { DiskProbe, ProbedVolume, Recognised } from './volume.ts'
import { windowOf, type Window } from './window.ts'

/** Every signature but NTFS's records lies in here; btrfs's superblock is the last. */
const HEAD_BYTES = 65_536 + 4096

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

async function recognise(volume: Window): Promise<Recognised> {
  const head = await volume.read(0, Math.min(HEAD_BYTES, volume.length)) ?? Buffer.alloc(0)
  return recogniseLuks(head) ?? recogniseLvm2(head) ?? recogniseBtrfs(head) ??
    await recogniseXfs(head, volume) ?? recogniseExt(head) ?? recogniseSwap(head) ??
    recogniseIso9660(head) ?? await recogniseNtfs(head, volume) ?? recogniseVfat(head) ??
    await recogniseBlank(head, volume) ??
    { kind: 'unknown', activity: 'unknown', detail: 'no known signature' }
}
