/** A volume of the captured disks as a window on it, found again by what the probe said. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { VolumeEvidence } from '../../consistency/mod.ts'
import {
  probeDisk, probeMapped, windowOf, type BlockSource, type PhysicalPlace, type Window,
} from '../../disk/mod.ts'

type Disks = readonly { readonly id: string; readonly source: BlockSource }[]

/** Fault of what it returns: `disk-unreadable`, and those of reading. */
export function volumeOpener(
  disks: Disks, signal: AbortSignal): (volume: VolumeEvidence) => Promise<Window> {
  return async (volume) => {
    const { diskIds, layer, where } = volume
    const source = disks.find(({ id }) => id === diskIds[0])?.source
    const found = source === undefined ? undefined
      : layer === 'disk' ? windowOf(source, 0, source.sizeBytes, signal)
        : layer === 'partition' ? await openPartition(source, volume, signal)
          : await openMapped(disks, volume, signal)
    if (found === undefined) throw new Fault('disk-unreadable', `${where} cannot be opened`)
    return found
  }
}

async function openPartition(
  source: BlockSource, { partition }: VolumeEvidence, signal: AbortSignal,
): Promise<Window | undefined> {
  const found = (await probeDisk(source, signal)).volumes.find((it) => it.partition === partition)
  return found === undefined ? undefined : windowOf(source, found.offset, found.length, signal)
}

/** By the name that the probe gives it, which two volumes must not have. */
async function openMapped(
  disks: Disks, { where }: VolumeEvidence, signal: AbortSignal): Promise<Window | undefined> {
  const physical: PhysicalPlace[] = []
  for (const { id, source } of disks) {
    const { volumes } = await probeDisk(source, signal)
    physical.push(...volumes.filter(({ kind }) => kind === 'lvm2')
      .map((volume) => ({ diskId: id, source, volume })))
  }
  const found = (await probeMapped(physical, signal)).volumes
    .filter(({ name }) => printable(`LVM ${name}`, 200) === where)
  return found.length === 1 ? found[0]?.window : undefined
}
