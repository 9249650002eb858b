/**
 * The agent's list of file systems: what it says, what a count can prove of it, and which volume
 * on the disks each entry is.
 */

import type { FileSystemList, VolumeEvidence } from './evidence.ts'
import type { GuestFileSystem } from './freezer.ts'

/**
 * Types without a freeze operation in any Linux kernel, under the names that Linux gives them:
 * FIFREEZE answers EOPNOTSUPP, and the agent leaves them out of its count.
 */
const NEVER_FROZEN: ReadonlySet<string> = new Set([
  'vfat', 'msdos', 'exfat', 'iso9660', 'udf', 'squashfs', 'erofs', 'cramfs', 'romfs', 'fuseblk',
  'CDFS',
])

/** Of these, those that are never written. `CDFS` is what Windows says. */
const READ_ONLY: ReadonlySet<string> = new Set([
  'iso9660', 'squashfs', 'erofs', 'cramfs', 'romfs', 'CDFS',
])

/** Not on a disk of the machine: outside what is judged, and never counted by the agent. */
const NOT_ON_DISK: ReadonlySet<string> = new Set([
  'nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', '9p', 'virtiofs', 'ceph', 'afs', 'fuse.sshfs',
  'fuse.glusterfs', 'tmpfs', 'ramfs', 'overlay', 'autofs',
])

/** True for a type whose files lie on no disk of the machine. */
export function isOffDisk(type: string): boolean {
  return NOT_ON_DISK.has(type)
}

export function isNeverFrozen({ type }: GuestFileSystem): boolean {
  return NEVER_FROZEN.has(type)
}

/** An optical drive, or a type that is never written. */
export function isReadOnly({ type, device }: GuestFileSystem): boolean {
  return READ_ONLY.has(type) || /^(\/dev\/)?sr\d+$/.test(device)
}

/** The file systems both lists name, each once: a bind mount or subvolume adds none. */
export function unionOf(lists: readonly FileSystemList[]): readonly GuestFileSystem[] {
  const all = lists.flatMap((list) => list.state === 'listed' ? list.fileSystems : [])
  return [...byKey(all).values()]
}

function byKey(fileSystems: readonly GuestFileSystem[]): ReadonlyMap<string, GuestFileSystem> {
  const result = new Map<string, GuestFileSystem>()
  for (const fileSystem of fileSystems) {
    if (isOffDisk(fileSystem.type)) continue
    const key = keyOf(fileSystem)
    if (!result.has(key)) result.set(key, fileSystem)
  }
  return result
}

/** By device; two types on one device cannot be, so then they count as two and nothing adds up. */
function keyOf({ device, mountpoint, type }: GuestFileSystem): string {
  return `${type} ${device === '' ? mountpoint : device}`
}

/** How many file systems an agent that freezes all it lists must say it froze. */
export function expectedCount(fileSystems: readonly GuestFileSystem[]): number {
  return unionOf([{ state: 'listed', fileSystems }]).filter((it) => !isNeverFrozen(it)).length
}

/** What `count` proves of the listed file systems: of each that can be frozen, or of none. */
export type CountProof = 'all-frozen' | 'lists-differ' | 'count-differs' | 'no-list'

/**
 * The agent states a count alone, not which ones. Each frozen file system counts once, so only
 * the full number, with the same list before and after, says that each of them was frozen.
 */
export function proofOfCount(
  before: FileSystemList, after: FileSystemList, count: number): CountProof {
  if (before.state !== 'listed' || after.state !== 'listed') return 'no-list'
  const [first, last] = [byKey(before.fileSystems), byKey(after.fileSystems)]
  const same = first.size === last.size && [...first.keys()].every((key) => last.has(key))
  if (!same) return 'lists-differ'
  return count > 0 && count === expectedCount(before.fileSystems) ? 'all-frozen' : 'count-differs'
}

/**
 * Finds for as many volumes as possible the entry that may be it, each entry once; the result has
 * a place for each volume. Volumes are served in the given order, so what comes first keeps an
 * entry if any assignment allows it (augmenting paths; the sets of volumes that can be served
 * form a matroid).
 */
export function matchVolumes(
  volumes: readonly VolumeEvidence[], entries: readonly GuestFileSystem[],
): readonly (GuestFileSystem | undefined)[] {
  const disksOf = entries.map(({ diskIds }) => new Set(diskIds))
  const candidates = volumes.map((volume) =>
    [...entries.keys()].filter((at) => mayBe(volume, entries[at], disksOf[at])))
  const owner = new Map<number, number>()
  const place = (volume: number, tried: Set<number>): boolean => {
    const wanted = candidates[volume] ?? []
    const free = wanted.find((entry) => !owner.has(entry))
    if (free !== undefined) {
      owner.set(free, volume)
      return true
    }
    for (const entry of wanted) {
      if (tried.has(entry)) continue
      tried.add(entry)
      const holder = owner.get(entry)
      if (holder !== undefined && place(holder, tried)) {
        owner.set(entry, volume)
        return true
      }
    }
    return false
  }
  // Where a search has failed none will ever succeed, so no later one has to look there again.
  const hopeless = new Set<number>()
  for (const volume of volumes.keys()) {
    const tried = new Set(hopeless)
    if (!place(volume, tried)) for (const entry of tried) hopeless.add(entry)
  }
  const entryOf = new Map([...owner].map(([entry, volume]) => [volume, entries[entry]]))
  return volumes.map((_, at) => entryOf.get(at))
}

function mayBe(
  volume: VolumeEvidence, entry: GuestFileSystem | undefined,
  disks: ReadonlySet<string> = new Set(),
): boolean {
  if (entry === undefined || familyOf(volume.type) !== familyOf(entry.type)) return false
  if (LIES_ON_NO_DISK.test(entry.device)) return false
  const onOther = disks.size > 0 && !volume.diskIds.some((id) => disks.has(id))
  if (onOther) return false
  const place = placeOf(entry.device)
  return place === undefined ||
    (place.layer === volume.layer && place.partition === volume.partition)
}

/** One name for the names that a probe, Linux and Windows give to one type. */
function familyOf(type: string): string {
  const name = type.toLowerCase()
  if (/^ext[234]?$/.test(name)) return 'ext'
  if (/^(ntfs3?|fuseblk)$/.test(name)) return 'ntfs'
  if (/^(vfat|msdos|fat(12|16|32)?)$/.test(name)) return 'vfat'
  return name
}

/** Devices of Linux whose blocks are in a file, in memory or on another machine. */
const LIES_ON_NO_DISK = /^(\/dev\/)?(loop|nbd|rbd|drbd|z?ram)\d/

const DISK_NAME =
  /^(?:(?:xv|[shv])d[a-z]{1,3}|(?:nvme\d{1,4}n|mmcblk)\d{1,4}(?=p|$))(?:p?(\d{1,4}))?$/

/** What a Linux device name states of its place; undefined for names of another kind. */
export function placeOf(
  device: string): Pick<VolumeEvidence, 'layer' | 'partition'> | undefined {
  const name = device.replace(/^\/dev\//, '')
  if (/^(dm-|md|mapper\/)/.test(name)) return { layer: 'mapped', partition: null }
  const match = DISK_NAME.exec(name)
  if (match === null) return undefined
  return match[1] === undefined
    ? { layer: 'disk', partition: null } : { layer: 'partition', partition: Number(match[1]) }
}
