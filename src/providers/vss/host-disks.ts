/** The volumes of a host as the disks of its set. */

import { Fault } from '../../base/fault.ts'
import { formatBytes, printable } from '../../base/text.ts'
import type { DiskLeftOut, SetDisk, SurveyRemark } from '../../consistency/mod.ts'

export interface HostVolume {
  /** `\\?\Volume{…}\` */
  readonly name: string
  /** `C:\`, `C:\data\`; empty for one that is not mounted. */
  readonly mounts: readonly string[]
  readonly sizeBytes: number
  /** `NTFS`, `ReFS`, `FAT32` …, as Windows names it; empty for none. */
  readonly fileSystem: string
}

/** Windows makes shadow copies of these; FAT and its kin it cannot copy at an instant. */
const COPIED: ReadonlySet<string> = new Set(['ntfs', 'refs'])

export interface HostDisk extends SetDisk {
  readonly volume: string
  readonly mounts: readonly string[]
  readonly fileSystem: string
}

export interface Chosen {
  readonly disks: readonly HostDisk[]
  readonly leftOut: readonly DiskLeftOut[]
}

export function plain({ id, sizeBytes }: HostDisk): SetDisk {
  return { id, sizeBytes }
}

/** `volume c`: `C:\, NTFS, 100.0 GiB`. */
export function remarkOn({ id, mounts, fileSystem, sizeBytes }: HostDisk): SurveyRemark {
  const at = mounts.length === 0 ? 'mounted nowhere' : mounts.slice(0, 4).join(', ')
  return { name: `volume ${id}`,
    says: printable(`${at}, ${fileSystem}, ${formatBytes(sizeBytes)}`, 300) }
}

/** Fault: `nothing-to-back-up`. */
export function chosen(volumes: readonly HostVolume[], exclude: readonly string[]): Chosen {
  const disks: HostDisk[] = []
  const leftOut: DiskLeftOut[] = []
  for (const volume of volumes) {
    const id = idOf(volume)
    if (exclude.includes(id)) {
      leftOut.push({ id, reason: 'excluded', detail: 'named by the operator' })
    } else if (!COPIED.has(volume.fileSystem.toLowerCase())) {
      leftOut.push({ id, reason: 'unsupported', detail:
        `VSS makes no copy of ${printable(volume.fileSystem, 40) || 'a volume without files'}` })
    } else {
      const { sizeBytes, name, mounts, fileSystem } = volume
      disks.push({ id, sizeBytes, volume: name, mounts, fileSystem })
    }
  }
  if (disks.length > 0) return { disks, leftOut }
  throw new Fault('nothing-to-back-up', 'no volume of this host can be copied by VSS')
}

/** `c` for `C:\`; of a volume without a letter, the first part of its GUID. */
export function idOf({ name, mounts }: HostVolume): string {
  const [letter] = mounts.flatMap((mount) => /^([A-Za-z]):\\$/.exec(mount)?.[1] ?? [])
  if (letter !== undefined) return letter.toLowerCase()
  const [, guid] = /Volume\{([0-9a-f]{8}-[0-9a-f]{4})/i.exec(name) ?? []
  if (guid !== undefined) return `volume-${guid.toLowerCase()}`
  throw new Fault('platform-protocol', `a volume has the name ${printable(name, 100)}`)
}

export function idOfDisk(disks: readonly HostDisk[], volume: string): string | undefined {
  return disks.find((disk) => disk.volume.toLowerCase() === volume.toLowerCase())?.id
}
