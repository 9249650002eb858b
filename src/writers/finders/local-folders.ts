/** Folders of local file systems of a Linux, for a look through them. */

import { constants } from 'node:fs'
import { open, opendir, readlink } from 'node:fs/promises'
import { mountOf, type Mount } from '../mounts.ts'
import type { Folders } from './look.ts'

/** What lies on a disk of this machine. All else (network, memory, FUSE) is never read. */
const LOCAL = new Set([
  'ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'zfs', 'f2fs', 'jfs', 'reiserfs', 'bcachefs', 'nilfs2',
  'vfat', 'exfat', 'ntfs', 'ntfs3', 'overlay',
])
/** Programs, what the system makes anew, and what containers are made of. */
const SKIPPED = new Set([
  '/bin', '/boot', '/dev', '/etc', '/lib', '/lib32', '/lib64', '/proc', '/run', '/sbin', '/snap',
  '/sys', '/tmp', '/usr', '/nix/store', '/var/cache', '/var/lib/apt', '/var/lib/containerd',
  '/var/lib/containers/storage/overlay', '/var/lib/docker/image', '/var/lib/docker/overlay2',
])
const SKIPPED_NAMES = new Set(['.cache', '.git', '.snapshots', 'lost+found', 'node_modules'])

export function isLocal(path: string, mounts: readonly Mount[]): boolean {
  return LOCAL.has(mountOf(path, mounts)?.type ?? '')
}

/** Mountpoints on disks, the nearest to the root first. */
export function localRoots(mounts: readonly Mount[]): readonly string[] {
  const roots = mounts.filter((mount) =>
    LOCAL.has(mount.type) && mountOf(mount.mountpoint, mounts)?.id === mount.id)
  return roots.map(({ mountpoint }) => mountpoint)
    .filter((path) => !isSkipped(path))
    .toSorted((a, b) => depthOf(a) - depthOf(b))
}

function isSkipped(path: string): boolean {
  return [...SKIPPED].some((skipped) => path === skipped || path.startsWith(`${skipped}/`))
}

function depthOf(path: string): number {
  return path === '/' ? 0 : path.split('/').length - 1
}

/** Those of the mounts that are given: what is mounted in a folder is a root of its own. */
export function localFolders(mounts: readonly Mount[]): Folders {
  const mountpoints = new Set(mounts.map(({ mountpoint }) => mountpoint))
  return {
    entries: async function * (path) {
      await using folder = await open(path, constants.O_DIRECTORY | constants.O_NOFOLLOW)
      const opened = `/proc/self/fd/${folder.fd}`
      if (await readlink(opened) !== path) throw new Error('a link was put on the way meanwhile')
      yield * await opendir(opened, { bufferSize: 256 })
    },
    // A mount there may be of the network; a local one is a root of its own.
    isLeftOut: (path, name) =>
      mountpoints.has(path) || SKIPPED_NAMES.has(name) || SKIPPED.has(path),
  }
}
