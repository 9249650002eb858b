/** Which volume on the captured disks each mount of the guest is. */

import type { Evidence, VolumeEvidence } from './evidence.ts'
import type { GuestFileSystem } from './freezer.ts'
import { matchVolumes, unionOf } from './guest-mounts.ts'

export interface MountedVolume {
  readonly mountpoint: string
  /** The guest's name for its type. */
  readonly type: string
  /** What of the volume is mounted there; absent for all of it. */
  readonly root?: string
  /** Undefined where the probe saw none that it may be. */
  readonly volume: VolumeEvidence | undefined
}

/** The guest's own list before the hold, in which a mount that covers another comes later. */
export function mountedVolumes(
  { fileSystems: { before, after, volumes } }: Pick<Evidence, 'fileSystems'>,
): readonly MountedVolume[] {
  if (before.state !== 'listed') return []
  const open = volumes.filter(({ role }) => role === 'file-system' || role === 'esp')
  const entries = unionOf([before, after])
  const match = matchVolumes(open, entries)
  const volumeOf = ({ type, device, mountpoint }: GuestFileSystem): VolumeEvidence | undefined =>
    open.find((_, at) => {
      const entry = match[at]
      return entry?.type === type && entry.device === device &&
        (device !== '' || entry.mountpoint === mountpoint)
    })
  return before.fileSystems.map((entry) =>
    ({ mountpoint: entry.mountpoint, type: entry.type, volume: volumeOf(entry) }))
}
