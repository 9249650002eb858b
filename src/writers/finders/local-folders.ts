/** Looks through folders of local file systems, within limits of time, number and depth. */

import { constants, type Dirent } from 'node:fs'
import { open, opendir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted, type Clock } from '../../base/clock.ts'
import { mountOf, type Mount } from '../mounts.ts'

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

/** Names in one folder. What is neither file nor folder (links, pipes, devices) is left out. */
export interface Listing {
  readonly path: string
  readonly files: ReadonlySet<string>
  readonly folders: ReadonlySet<string>
}

export interface LookLimits {
  readonly lookMs: number
  readonly entries: number
  readonly depth: number
}

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

/** One look, whose limits all that is read in it share. */
export class Look {
  readonly #mountpoints: ReadonlySet<string>
  readonly #limits: LookLimits
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #startMs: number
  readonly #seen = new Set<string>()
  #left: number
  #isCut = false

  constructor(
    mounts: readonly Mount[], limits: LookLimits, clock: Clock, signal: AbortSignal) {
    this.#mountpoints = new Set(mounts.map(({ mountpoint }) => mountpoint))
    this.#limits = limits
    this.#left = limits.entries
    this.#clock = clock
    this.#signal = signal
    this.#startMs = clock.monotonicMs()
  }

  /** Whether a limit kept it from something. */
  get isCut(): boolean {
    return this.#isCut
  }

  /** The folder, unless it was listed before, may not be read, or a limit is reached. */
  async list(path: string): Promise<Listing | undefined> {
    throwIfAborted(this.#signal)
    if (this.#seen.has(path)) return undefined
    this.#seen.add(path)
    const listing = { path, files: new Set<string>(), folders: new Set<string>() }
    try {
      await using folder = await open(path, constants.O_DIRECTORY | constants.O_NOFOLLOW)
      const opened = `/proc/self/fd/${folder.fd}`
      if (await readlink(opened) !== path) return undefined // a link was put on the way meanwhile
      for await (const entry of await opendir(opened, { bufferSize: 256 })) {
        if (!this.#mayGoOn()) return undefined
        note(entry, listing)
      }
    } catch {
      return undefined // gone, or not ours to read: found by its handles if it is in use
    }
    return listing
  }

  #mayGoOn(): boolean {
    const isOver = this.#left-- <= 0 ||
      this.#clock.monotonicMs() - this.#startMs > this.#limits.lookMs
    this.#isCut ||= isOver
    return !isOver
  }

  /**
   * `roots` and all below, breadth first: a limit cuts off what lies deep. No link is followed, and
   * no folder entered in which `visit` found that all of it is one thing.
   */
  async walk(
    roots: readonly string[], visit: (listing: Listing) => Promise<boolean>): Promise<void> {
    let level = roots
    for (let depth = 0; level.length > 0; depth++) {
      if (depth > this.#limits.depth) {
        this.#isCut = true
        return
      }
      const next: string[] = []
      for (const path of level) {
        if (this.#isCut) return
        const listing = await this.list(path)
        if (listing === undefined || await visit(listing)) continue
        for (const name of listing.folders) {
          const below = join(path, name)
          // A mount there may be of the network; a local one is a root of its own.
          if (this.#mountpoints.has(below) || SKIPPED_NAMES.has(name)) continue
          if (!SKIPPED.has(below)) next.push(below)
        }
      }
      level = next
    }
  }
}

function note(
  entry: Dirent, { files, folders }: { files: Set<string>; folders: Set<string> }): void {
  if (entry.isFile()) files.add(entry.name)
  else if (entry.isDirectory()) folders.add(entry.name)
}
