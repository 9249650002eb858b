/**
 * Files out of a btrfs without mounting it (btrfs.readthedocs.io, "On-disk Format"). Paths begin
 * at the topmost subvolume, and lead through others as folders.
 */

import type { Window } from '../probe/window.ts'
import {
  btrfsKey, BtrfsTrees, LAST_OFFSET, offsetOf, type BtrfsTree,
} from './btrfs-trees.ts'
import {
  fail, MAX_FOLDER_BYTES, type FileTree, type FolderEntry, type Inode,
} from './image-file.ts'

const INODE_ITEM = 1
const DIR_INDEX = 96
const EXTENT_DATA = 108
const ROOT_ITEM = 132
const TOP_TREE = 5n
/** Of each subvolume. */
const ROOT_FOLDER = 256n
const ROOT_BYTES = 239
const MAX_EXTENTS = 500_000
const MAX_TARGET_BYTES = 4096

/** A file is known by its number in its subvolume. */
interface Place {
  readonly tree: bigint
  readonly object: bigint
}

export class BtrfsFileSystem implements FileTree {
  readonly root: number
  readonly #trees: BtrfsTrees
  readonly #subvolumes = new Map<bigint, Promise<BtrfsTree>>()
  readonly #places: Place[] = []
  readonly #numbers = new Map<string, number>()

  private constructor(trees: BtrfsTrees) {
    this.#trees = trees
    this.root = this.#numberOf({ tree: TOP_TREE, object: ROOT_FOLDER })
  }

  /** Fault: `disk-unreadable` if it is none, is damaged or has what is not read here. */
  static async open(window: Window): Promise<BtrfsFileSystem> {
    const files = new BtrfsFileSystem(await BtrfsTrees.open(window))
    await files.inode(files.root)
    return files
  }

  async inode(number: number): Promise<BtrfsInode> {
    const place = this.#places[number] ?? fail(`it has no inode ${number}`)
    const tree = await this.#subvolume(place.tree)
    const item = await this.#trees.item(tree, btrfsKey(place.object, INODE_ITEM, 0n))
    if (item === undefined || item.length < 56) fail(`it has no inode ${place.object}`)
    const kind = KINDS.get(item.readUInt32LE(52) & 0xf000) ?? 'other'
    const sizeBytes = Number(item.readBigUInt64LE(16))
    if (!Number.isSafeInteger(sizeBytes)) fail(`inode ${place.object} has ${sizeBytes} bytes`)
    const file = new BtrfsInode(this.#trees, tree, { ...place, kind, sizeBytes })
    if (kind === 'link') await file.readTarget()
    return file
  }

  async list(folder: BtrfsInode): Promise<readonly FolderEntry[]> {
    if (folder.kind !== 'folder') fail('what should be a folder is none')
    const { tree, object } = folder.place
    const entries: FolderEntry[] = []
    let bytes = 0
    for await (const { data } of this.#trees.items(await this.#subvolume(tree),
      btrfsKey(object, DIR_INDEX, 0n), btrfsKey(object, DIR_INDEX, LAST_OFFSET))) {
      bytes += data.length
      if (bytes > MAX_FOLDER_BYTES) fail('a folder is longer than can be')
      if (data.length < 30) fail('a folder is damaged')
      const length = data.readUInt16LE(27)
      if (30 + length > data.length) fail('a folder is damaged')
      const [target, type] = [data.readBigUInt64LE(0), data.readUInt8(8)]
      const place = type === INODE_ITEM ? { tree, object: target }
        : type === ROOT_ITEM ? { tree: target, object: ROOT_FOLDER } : fail('a folder is damaged')
      entries.push({
        name: data.toString('utf8', 30, 30 + length), inode: this.#numberOf(place) })
    }
    return entries
  }

  #subvolume(id: bigint): Promise<BtrfsTree> {
    let tree = this.#subvolumes.get(id)
    if (tree === undefined) {
      tree = this.#findSubvolume(id)
      this.#subvolumes.set(id, tree)
    }
    return tree
  }

  async #findSubvolume(id: bigint): Promise<BtrfsTree> {
    let found: Buffer | undefined
    for await (const { data } of this.#trees.items(this.#trees.roots,
      btrfsKey(id, ROOT_ITEM, 0n), btrfsKey(id, ROOT_ITEM, LAST_OFFSET))) found = data
    if (found === undefined || found.length < ROOT_BYTES) fail(`it has no subvolume ${id}`)
    const address = Number(found.readBigUInt64LE(176))
    return Number.isSafeInteger(address) ? { address, level: found.readUInt8(238) }
      : fail('it points outside of itself')
  }

  #numberOf(place: Place): number {
    const name = `${place.tree} ${place.object}`
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    this.#numbers.set(name, this.#places.length)
    return this.#places.push(place) - 1
  }
}

const KINDS: ReadonlyMap<number, Inode['kind']> = new Map([
  [0x8000, 'file'], [0x4000, 'folder'], [0xa000, 'link']])

interface Extent {
  readonly from: number
  readonly bytes: number
  /** In the tree itself. */
  readonly inline: Buffer | undefined
  /** Undefined: it reads as zeros. */
  readonly logical: number | undefined
  readonly isPlain: boolean
}

class BtrfsInode implements Inode {
  readonly kind: Inode['kind']
  readonly sizeBytes: number
  readonly place: Place
  inlineTarget: string | undefined
  readonly #trees: BtrfsTrees
  readonly #tree: BtrfsTree
  #extents: Promise<readonly Extent[]> | undefined

  constructor(
    trees: BtrfsTrees, tree: BtrfsTree, { kind, sizeBytes, ...place }: Place &
    Pick<Inode, 'kind' | 'sizeBytes'>) {
    this.#trees = trees
    this.#tree = tree
    this.kind = kind
    this.sizeBytes = sizeBytes
    this.place = place
  }

  /** Of a link, which has nothing else in it. */
  async readTarget(): Promise<void> {
    const bytes = await this.#read(0, Math.min(this.sizeBytes, MAX_TARGET_BYTES))
    this.inlineTarget = bytes.toString('utf8')
  }

  read(offset: number, length: number): Promise<Buffer> {
    if (this.kind !== 'file') fail('something in it that has no contents is read')
    return this.#read(offset, length)
  }

  async #read(offset: number, length: number): Promise<Buffer> {
    const result = Buffer.alloc(Math.max(0, Math.min(length, this.sizeBytes - offset)))
    this.#extents ??= this.#readExtents()
    const extents = await this.#extents
    for (let index = firstBehind(extents, offset); index < extents.length; index++) {
      const extent = extents[index]
      if (extent === undefined || extent.from >= offset + result.length) break
      const from = Math.max(offset, extent.from)
      const end = Math.min(offset + result.length, extent.from + extent.bytes)
      if (from >= end) continue
      if (!extent.isPlain) fail('a file in it is compressed or encrypted')
      const within = from - extent.from
      const bytes = extent.inline?.subarray(within, within + end - from) ??
        (extent.logical === undefined ? undefined
          : await this.#trees.read(extent.logical + within, end - from))
      bytes?.copy(result, from - offset)
    }
    return result
  }

  async #readExtents(): Promise<readonly Extent[]> {
    const { object } = this.place
    const extents: Extent[] = []
    for await (const { key, data } of this.#trees.items(this.#tree,
      btrfsKey(object, EXTENT_DATA, 0n), btrfsKey(object, EXTENT_DATA, LAST_OFFSET))) {
      if (extents.length >= MAX_EXTENTS) fail('a file in it has more extents than are read')
      extents.push(extentOf(Number(offsetOf(key)), data))
    }
    return extents
  }
}

/** Which is the first that ends behind `offset`; they are in order. */
function firstBehind(extents: readonly Extent[], offset: number): number {
  let [low, high] = [0, extents.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const { from = 0, bytes = 0 } = extents[middle] ?? {}
    if (from + bytes > offset) high = middle
    else low = middle + 1
  }
  return low
}

const INLINE = 0
const REGULAR = 1

function extentOf(from: number, item: Buffer): Extent {
  if (item.length < 21) fail('an extent of it is damaged')
  const isPlain = item.readUInt8(16) === 0 && item.readUInt16LE(17) === 0
  const type = item.readUInt8(20)
  if (type === INLINE) {
    const inline = item.subarray(21)
    const bytes = isPlain ? inline.length : Number(item.readBigUInt64LE(8))
    return { from, bytes, inline, logical: undefined, isPlain }
  }
  if (item.length < 53) fail('an extent of it is damaged')
  const [disk, within, bytes] = [21, 37, 45].map((at) => Number(item.readBigUInt64LE(at)))
  if (disk === undefined || within === undefined || bytes === undefined ||
    ![from, disk + within, bytes].every((it) => Number.isSafeInteger(it))) {
    fail('an extent of it is damaged')
  }
  const isData = type === REGULAR && disk !== 0
  return { from, bytes, inline: undefined, logical: isData ? disk + within : undefined, isPlain }
}
