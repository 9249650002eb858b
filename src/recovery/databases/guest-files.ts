/** Files of the captured machine by the names that they had in it, without mounting anything. */

import type { MountedVolume, VolumeEvidence } from '../../consistency/mod.ts'
import {
  entryNamed, type FileTree, type FolderEntry, type Inode, type Window,
} from '../../disk/mod.ts'
import { isNotReplayed, treeOpener, unreadable, type OpenTree } from '../open-tree.ts'

/** As the kernel's own limit (path_resolution(7)). */
const MAX_LINKS = 40
const MAX_PARTS = 256
const MAX_TARGET_BYTES = 4096
/** What all that a check reads may be; a megabyte or two is usual. */
const MAX_READ_BYTES = 2 * 1024 ** 3

export interface Found {
  readonly inode: Inode
  readonly fileSystem: FileTree
}

export class GuestFiles {
  readonly #mounts: readonly MountedVolume[]
  readonly #openVolume: (volume: VolumeEvidence) => Promise<Window>
  readonly #opened = new Map<VolumeEvidence, Promise<FileTree>>()
  readonly #folders = new Map<string, Promise<readonly FolderEntry[]>>()
  readonly #mostBytes: number
  #bytesRead = 0

  constructor(
    mounts: readonly MountedVolume[],
    openVolume: (volume: VolumeEvidence) => Promise<Window>, mostBytes = MAX_READ_BYTES) {
    this.#mostBytes = mostBytes
    this.#mounts = mounts
    this.#openVolume = openVolume
  }

  /**
   * What is at an absolute path, symbolic links followed; undefined: nothing. Fault:
   * `disk-unreadable` if it cannot be told, because a file system on the way cannot be read.
   */
  async find(path: string): Promise<Inode | undefined> {
    return (await this.locate(path))?.inode
  }

  /** What a folder holds; undefined: there is no such folder. Faults as `find`. */
  async list(path: string): Promise<readonly FolderEntry[] | undefined> {
    const found = await this.locate(path)
    return found?.inode.kind === 'folder' ? found.fileSystem.list(found.inode) : undefined
  }

  /** As `find`, with the file system that it is of. */
  async locate(path: string): Promise<Found | undefined> {
    let { behind, ahead } = this.#fromMount(path)
    let found = await this.#real(`/${behind.join('/')}`)
    for (let links = 0; ahead.length > 0;) {
      const part = ahead.shift() ?? ''
      if (part === '..') behind.pop()
      else behind.push(part)
      if (behind.length + ahead.length > MAX_PARTS) throw unreadable(`${path} is too deep`)
      found = await this.#real(`/${behind.join('/')}`)
      if (found === undefined) return undefined
      const { inode } = found
      if (inode.kind !== 'link') continue
      if (++links > MAX_LINKS) throw unreadable(`${path} goes through too many links`)
      const target = inode.inlineTarget ??
        (await inode.read(0, MAX_TARGET_BYTES)).toString('utf8')
      behind.pop()
      const next = target.startsWith('/') ? target : `/${[...behind, target].join('/')}`;
      ({ behind, ahead } = this.#fromMount(`${next}/${ahead.join('/')}`))
      found = await this.#real(`/${behind.join('/')}`)
    }
    return found
  }

  /** A mountpoint is named without links, so the way to it need not be walked. */
  #fromMount(path: string): { behind: string[]; ahead: string[] } {
    const parts = partsOf(path)
    const plain = parts.includes('..') ? '/' : `/${parts.join('/')}`
    const known = partsOf(this.#mountOf(plain)?.mountpoint ?? '/').length
    return { behind: parts.slice(0, known), ahead: parts.slice(known) }
  }

  #mountOf(path: string): MountedVolume | undefined {
    return this.#mounts.filter(({ mountpoint }) => isInside(path, mountpoint))
      .toSorted((a, b) => a.mountpoint.length - b.mountpoint.length).at(-1)
  }

  /** At a path without links on the way. */
  async #real(path: string): Promise<Found | undefined> {
    const mount = this.#mountOf(path)
    if (mount === undefined) throw unreadable(`it is not known which volume ${path} lies on`)
    const { mountpoint, type, volume, root = '/' } = mount
    if (volume === undefined) throw unreadable(`it is not known which volume ${mountpoint} is`)
    const openAs = treeOpener(volume.type)
    if (openAs === undefined) {
      throw unreadable(`${mountpoint} is of the type ${type}, of which no files are read`)
    }
    if (isNotReplayed(volume)) {
      throw unreadable(
        `${mountpoint} (${volume.type}) would have to be replayed first: ${volume.detail}`)
    }
    const fileSystem = await this.#open(volume, openAs)
    let number = fileSystem.root
    for (const part of [...partsOf(root), ...partsOf(path).slice(partsOf(mountpoint).length)]) {
      const entries = await this.#folder(fileSystem, number, `${mountpoint} ${number}`)
      const next = entryNamed(fileSystem, entries, part)
      if (next === undefined) return undefined
      number = next.inode
    }
    return { inode: await fileSystem.inode(number), fileSystem }
  }

  #folder(fileSystem: FileTree, number: number, key: string): Promise<readonly FolderEntry[]> {
    const known = this.#folders.get(key)
    if (known !== undefined) return known
    const entries = (async () => {
      const inode = await fileSystem.inode(number)
      return inode.kind === 'folder' ? fileSystem.list(inode) : []
    })()
    this.#folders.set(key, entries)
    return entries
  }

  #open(volume: VolumeEvidence, openAs: OpenTree): Promise<FileTree> {
    const known = this.#opened.get(volume)
    if (known !== undefined) return known
    const opening = this.#openVolume(volume).then((window) =>
      openAs({ length: window.length, read: (offset, length) => {
        this.#bytesRead += length
        if (this.#bytesRead > this.#mostBytes) throw unreadable('more would have to be read of it')
        return window.read(offset, length)
      } }))
    this.#opened.set(volume, opening)
    return opening
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function isInside(path: string, mountpoint: string): boolean {
  return mountpoint === '/' || path === mountpoint || path.startsWith(`${mountpoint}/`)
}
