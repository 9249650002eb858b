/** A volume of the captured disks as a window on it, found again by what the probe said. */

import { Fault } from '../../base/fault.ts'
import type { VolumeEvidence } from '../../consistency/mod.ts'
import { probeDisk, windowOf, type BlockSource, type Window } from '../../disk/mod.ts'

/** Fault of what it returns: `disk-unreadable`, and those of reading. */
export function volumeOpener(
  disks: readonly { readonly id: string; readonly source: BlockSource }[], signal: AbortSignal,
): (volume: VolumeEvidence) => Promise<Window> {
  return async ({ diskIds, layer, partition, where }) => {
    const source = disks.find(({ id }) => id === diskIds[0])?.source
    if (source === undefined) throw new Fault('disk-unreadable', `${where} is not in the point`)
    if (layer === 'disk') return windowOf(source, 0, source.sizeBytes, signal)
    const found = layer !== 'partition' ? undefined
      : (await probeDisk(source, signal)).volumes.find((it) => it.partition === partition)
    if (found === undefined) throw new Fault('disk-unreadable', `${where} cannot be opened`)
    return windowOf(source, found.offset, found.length, signal)
  }
}
