/**
 * Files out of an XFS without mounting it (XFS Algorithms & Data Structures: "Directories"). Its
 * log is not looked at: only one whose log would replay the superblock alone reads as it was.
 */

import type { Window } from '../probe/window.ts'
import {
  fail, MAX_FOLDER_BYTES, readWindow, type FileTree, type FolderEntry,
} from './image-file.ts'
import type { Blocks } from './runs.ts'
import { parseXfsInode, type XfsInode } from './xfs-inode.ts'
import { parseXfsSuperblock, type XfsLayout } from './xfs-superblock.ts'

/** A superblock is guarded as a sector, which may be as long. */
const MAX_SECTOR_BYTES = 4096
/** In a folder's file the index begins here; what is before are its entries. */
const INDEX_OFFSET = 2 ** 35

export class XfsFileSystem implements FileTree {
  readonly root: number
  readonly #layout: XfsLayout
  readonly #blocks: Blocks

  private constructor(layout: XfsLayout, blocks: Blocks) {
    this.root = layout.rootInode
    this.#layout = layout
    this.#blocks = blocks
  }

  /** Fault: `disk-unreadable` if it is none, is damaged or has what is not read here. */
  static async open(window: Window): Promise<XfsFileSystem> {
    const layout = parseXfsSuperblock(await readWindow(window, 0, MAX_SECTOR_BYTES))
    const { blockBytes } = layout
    return new XfsFileSystem(layout, {
      blockBytes,
      read: (block, count) => block + count > layout.blocks
        ? fail(`it points at block ${block}, which it does not have`)
        : readWindow(window, block * blockBytes, count * blockBytes),
    })
  }

  async inode(number: number): Promise<XfsInode> {
    if (!Number.isSafeInteger(number) || number < 1) fail(`it has no inode ${number}`)
    const { block, offset } = this.#layout.inodePlace(number)
    const bytes = await this.#blocks.read(block, 1)
    return parseXfsInode(
      bytes.subarray(offset, offset + this.#layout.inodeBytes), number, this.#layout, this.#blocks)
  }

  async list(folder: XfsInode): Promise<readonly FolderEntry[]> {
    const { folderBytes } = this.#layout
    if (folder.kind !== 'folder') fail('what should be a folder is none')
    if (folder.local !== undefined) return shortEntries(folder.local, this.#layout)
    if (folder.sizeBytes > Math.min(MAX_FOLDER_BYTES, INDEX_OFFSET)) {
      fail(`a folder has ${folder.sizeBytes} bytes`)
    }
    const entries: FolderEntry[] = []
    for (let at = 0; at < folder.sizeBytes; at += folderBytes) {
      const block = await folder.read(at, folderBytes)
      if (block.length < folderBytes) fail('a folder is cut')
      entries.push(...blockEntries(block, this.#layout))
    }
    return entries
  }
}

/** "Shortform Directories": in the inode, with numbers of four or of eight bytes. */
function shortEntries(bytes: Buffer, { hasTypes }: XfsLayout): readonly FolderEntry[] {
  if (bytes.length < 6) fail('a folder is damaged')
  const numberBytes = bytes.readUInt8(1) > 0 ? 8 : 4
  const entries: FolderEntry[] = []
  let at = 2 + numberBytes
  for (let left = bytes.readUInt8(0); left > 0; left--) {
    const nameLength = at < bytes.length ? bytes.readUInt8(at) : fail('a folder is damaged')
    const numberAt = at + 3 + nameLength + (hasTypes ? 1 : 0)
    if (numberAt + numberBytes > bytes.length) fail('a folder is damaged')
    entries.push({
      name: bytes.toString('utf8', at + 3, at + 3 + nameLength),
      inode: numberBytes === 8
        ? Number(bytes.readBigUInt64BE(numberAt)) : bytes.readUInt32BE(numberAt) })
    at = numberAt + numberBytes
  }
  return entries
}

const UNUSED = 0xffff

/** "Block Directories" and the data blocks of larger ones; a block without data is a hole. */
function blockEntries(block: Buffer, { hasTypes }: XfsLayout): readonly FolderEntry[] {
  const magic = block.toString('latin1', 0, 4)
  if (magic === '\0\0\0\0') return []
  const isSingle = magic === 'XDB3'
  if (!isSingle && magic !== 'XDD3') fail('a folder is damaged')
  // A folder of one block has its index at the end of it.
  const end = isSingle
    ? block.length - 8 - block.readUInt32BE(block.length - 8) * 8 : block.length
  const entries: FolderEntry[] = []
  for (let at = 64; at < end;) {
    const isUnused = block.readUInt16BE(at) === UNUSED
    if (!isUnused && at + 16 > block.length) fail('a folder is damaged')
    const nameLength = isUnused ? 0 : block.readUInt8(at + 8)
    const length = isUnused ? block.readUInt16BE(at + 2)
      : Math.ceil((11 + nameLength + (hasTypes ? 1 : 0)) / 8) * 8
    if (length < 8 || length % 8 !== 0 || at + length > block.length) fail('a folder is damaged')
    const name = isUnused ? '.' : block.toString('utf8', at + 9, at + 9 + nameLength)
    if (name !== '.' && name !== '..') {
      entries.push({ name, inode: Number(block.readBigUInt64BE(at)) })
    }
    at += length
  }
  return entries
}
