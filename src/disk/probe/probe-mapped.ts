/** The volumes that lie on several disks or on parts of them: logical volumes of LVM. */

import type { BlockSource } from '../block-source.ts'
import { findLvmLabel, readPhysicalVolume } from './lvm-label.ts'
import { readVolumeGroups, type FoundPhysicalVolume } from './lvm-volumes.ts'
import { recognise } from './recognise.ts'
import type { ProbedVolume, Recognised } from './volume.ts'
import { windowOf, type Window } from './window.ts'

/** Where a physical volume was found. */
export interface PhysicalPlace {
  readonly diskId: string
  readonly source: BlockSource
  readonly volume: ProbedVolume
}

export interface MappedVolume extends Recognised {
  /** `vg0/root`, as found: hostile. */
  readonly name: string
  readonly diskIds: readonly string[]
  /** What is in it; undefined where it is not linear, or not all there. */
  readonly window: Window | undefined
}

export interface MappedProbe {
  readonly volumes: readonly MappedVolume[]
  /** The physical volumes whose groups were read: `volumes` says all that is in them. */
  readonly explained: ReadonlySet<ProbedVolume>
}

/** A label lies in the first four sectors. */
const LABEL_BYTES = 2048

/**
 * Reads the volume groups of the physical volumes at `places`, and looks at each logical volume as
 * at a partition. One that is not linear, or not all there, is of kind `unknown` and says why.
 * Faults are those of reading.
 */
export async function probeMapped(
  places: readonly PhysicalPlace[], signal: AbortSignal): Promise<MappedProbe> {
  const found: (FoundPhysicalVolume & { readonly volume: ProbedVolume })[] = []
  for (const { diskId, source, volume } of places) {
    const window = windowOf(source, volume.offset, volume.length, signal)
    const label = findLvmLabel(await window.read(0, LABEL_BYTES) ?? Buffer.alloc(0))
    if (label === undefined) continue
    found.push({ diskId, window, volume, ...await readPhysicalVolume(label, window) })
  }
  const volumes: MappedVolume[] = []
  const explained = new Set<ProbedVolume>()
  for (const group of readVolumeGroups(found)) {
    for (const { name, diskIds, window, why } of group.volumes) {
      const recognised: Recognised = window === undefined
        ? { kind: 'unknown', activity: 'unknown', detail: why } : await recognise(window)
      volumes.push({ name, diskIds, window, ...recognised })
    }
    for (const { volume } of found.filter((it) => group.physical.includes(it))) {
      explained.add(volume)
    }
  }
  return { volumes, explained }
}
