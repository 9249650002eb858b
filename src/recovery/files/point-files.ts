/** The files on a point's disks, by volume and path, or by the names they had in the machine. */

import { isFault, Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import {
  mountedVolumes, probeSet, type Evidence, type MountedVolume, type VolumeEvidence,
} from '../../consistency/mod.ts'
import {
  entryNamed, type BlockSource, type FileTree, type FolderEntry, type Inode, type InodeKind,
} from '../../disk/mod.ts'
import { GuestFiles } from '../databases/guest-files.ts'
import { volumeOpener } from '../databases/open-volume.ts'
import { isNotReplayed, treeOpener, unreadable } from '../open-tree.ts'

export type PointDisks = readonly { readonly id: string; readonly source: BlockSource }[]

/** A path in a volume; without a volume one in the machine, links followed. */
export interface FilePlace {
  readonly volume: string | undefined
  readonly path: string
}

export interface PointVolume {
  /** `vda`, `vda2`, `nvme0n1p2`, `vg0/root`: what an operator names it by. Hostile. */
  readonly name: string
  readonly type: string
  /** Where the machine had it mounted. Hostile. */
  readonly mountpoints: readonly string[]
  /** Undefined: its files are read. */
  readonly unread: string | undefined
  /** What is not as it should be although they are. */
  readonly warning: string | undefined
}

/** Names are hostile: any characters but those that the file system forbids. */
export interface ListedFile {
  readonly name: string
  /** `damaged`: there is such a name, and no more can be told. */
  readonly kind: InodeKind | 'damaged'
  /** Of files alone. */
  readonly sizeBytes: number | undefined
  /** Of links alone. */
  readonly target: string | undefined
}

export interface FileListing {
  readonly files: readonly ListedFile[]
  readonly warning: string | undefined
}

export interface FoundFile {
  readonly file: Inode
  readonly warning: string | undefined
}

const MAX_PARTS = 256
const MAX_TARGET_BYTES = 4096

interface Located {
  readonly tree: FileTree
  readonly inode: Inode
  readonly warning: string | undefined
}

export class PointFiles {
  readonly #volumes: readonly VolumeEvidence[]
  readonly #mounts: readonly MountedVolume[]
  readonly #open: ReturnType<typeof volumeOpener>

  private constructor(
    volumes: readonly VolumeEvidence[], mounts: readonly MountedVolume[],
    open: ReturnType<typeof volumeOpener>) {
    this.#volumes = volumes
    this.#mounts = mounts
    this.#open = open
  }

  /** Looks for volumes on `disks`, which stay the caller's. Faults: those of reading. */
  static async open(
    disks: PointDisks, evidence: Pick<Evidence, 'fileSystems'>,
    signal: AbortSignal): Promise<PointFiles> {
    const probed = await probeSet(disks, signal)
    const mounts = mountedVolumes({ fileSystems: { ...evidence.fileSystems, ...probed } })
    return new PointFiles(
      probed.volumes.filter(({ role }) => role !== 'swap'), mounts, volumeOpener(disks, signal))
  }

  get volumes(): readonly PointVolume[] {
    return this.#volumes.map((volume) => ({
      name: nameOf(volume), type: volume.type, unread: whyUnread(volume),
      warning: warningOf(volume),
      mountpoints: this.#mounts.filter((mount) => mount.volume === volume)
        .map(({ mountpoint }) => mountpoint) }))
  }

  /** What a folder holds, or the file itself. Faults: `not-found`, `disk-unreadable`. */
  async list(place: FilePlace): Promise<FileListing> {
    const { tree, inode, warning } = await this.#locate(place)
    if (inode.kind !== 'folder') {
      return { files: [await listed(partsOf(place.path).at(-1) ?? '/', inode)], warning }
    }
    const files: ListedFile[] = []
    for (const entry of await tree.list(inode)) files.push(await listedEntry(tree, entry))
    return { files: files.toSorted((a, b) => a.name < b.name ? -1 : 1), warning }
  }

  /** Faults: `not-found` (also of what is no file), `disk-unreadable`. */
  async find(place: FilePlace): Promise<FoundFile> {
    const { inode, warning } = await this.#locate(place)
    if (inode.kind === 'file') return { file: inode, warning }
    const what = inode.kind === 'link' ? `a link to ${await targetOf(inode)}`
      : inode.kind === 'folder' ? 'a folder' : 'no file'
    throw new Fault('not-found', printable(`${place.path} is ${what}`), {
      advice: inode.kind === 'link' ? 'Name what it leads to.' : 'Name one file.' })
  }

  async #locate({ volume: name, path }: FilePlace): Promise<Located> {
    const found = name === undefined
      ? await this.#inMachine(path) : await this.#inVolume(name, path)
    if (found !== undefined) return found
    throw new Fault('not-found', printable(`there is no ${path}${
      name === undefined ? '' : ` in ${name}`}`))
  }

  async #inMachine(path: string): Promise<Located | undefined> {
    const guest = new GuestFiles(this.#mounts, this.#open, Infinity)
    const found = await guest.locate(path)
    return found && { tree: found.fileSystem, inode: found.inode, warning: undefined }
  }

  async #inVolume(name: string, path: string): Promise<Located | undefined> {
    const [volume, other] = this.#volumes.filter((it) => nameOf(it) === name)
    if (volume === undefined || other !== undefined) {
      throw new Fault('not-found', printable(`there is no volume ${name}`), {
        advice: `Its volumes: ${printable(this.#volumes.map(nameOf).join(', '))}.` })
    }
    const why = whyUnread(volume)
    const openTree = treeOpener(volume.type)
    if (why !== undefined || openTree === undefined) throw unreadable(`${name}: ${why}`)
    const tree = await openTree(await this.#open(volume))
    const parts = partsOf(path, volume.type)
    if (parts.length > MAX_PARTS) throw unreadable(`${path} is too deep`)
    let inode = await tree.inode(tree.root)
    for (const [index, part] of parts.entries()) {
      if (inode.kind === 'link') {
        throw new Fault('not-found', printable(`${parts.slice(0, index).join('/')} is a link to ${
          await targetOf(inode)}`), { advice: 'Name what it leads to.' })
      }
      const entry = inode.kind === 'folder'
        ? entryNamed(tree, await tree.list(inode), part) : undefined
      if (entry === undefined) return undefined
      inode = await tree.inode(entry.inode)
    }
    return { tree, inode, warning: warningOf(volume) }
  }
}

/** As Linux names partitions; the probe's own name says what a volume of LVM is called. */
function nameOf({ layer, diskIds, partition, where }: VolumeEvidence): string {
  const [disk = ''] = diskIds
  if (layer === 'mapped') return where.replace(/^LVM /, '')
  return layer === 'disk' ? disk : `${disk}${/\d$/.test(disk) ? 'p' : ''}${partition}`
}

function whyUnread(volume: VolumeEvidence): string | undefined {
  if (treeOpener(volume.type) === undefined) return `of ${volume.type} no files are read`
  // A log of XFS holds whole folders; that of NTFS a few records, and Windows never closes it.
  return volume.type === 'xfs' && isNotReplayed(volume)
    ? `its log would have to be replayed first: ${volume.detail}` : undefined
}

function warningOf(volume: VolumeEvidence): string | undefined {
  return whyUnread(volume) === undefined && isNotReplayed(volume)
    ? `its log is not replayed, so that names and contents may be older than the instant: ${
      volume.detail}` : undefined
}

function partsOf(path: string, type = ''): readonly string[] {
  return path.split(type === 'ntfs' ? /[\\/]/ : '/').filter((part) => part !== '' && part !== '.')
}

async function listedEntry(tree: FileTree, { name, inode }: FolderEntry): Promise<ListedFile> {
  try {
    return await listed(name, await tree.inode(inode))
  } catch (error) {
    if (!isFault(error, 'disk-unreadable')) throw error
    return { name, kind: 'damaged', sizeBytes: undefined, target: undefined }
  }
}

async function listed(name: string, inode: Inode): Promise<ListedFile> {
  const { kind } = inode
  return {
    name, kind, sizeBytes: kind === 'file' ? inode.sizeBytes : undefined,
    target: kind === 'link' ? await targetOf(inode) : undefined }
}

async function targetOf(inode: Inode): Promise<string> {
  return inode.inlineTarget ?? (await inode.read(0, MAX_TARGET_BYTES)).toString('utf8')
}
