/** Files out of an ext4 file system without mounting it; its journal is replayed in memory. */

import type { Window } from '../probe/window.ts'
import { parseInode, type ExtInode } from './ext-inode.ts'
import { readJournal } from './ext-journal.ts'
import {
  parseSuperblock, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET, type ExtLayout,
} from './ext-superblock.ts'
import {
  fail, MAX_FOLDER_BYTES, readWindow, type FileTree, type FolderEntry, type Inode,
} from './image-file.ts'
import type { Blocks } from './runs.ts'

const ROOT_INODE = 2
const PIECE_BYTES = 1024 * 1024

export class ExtFileSystem implements FileTree {
  readonly root = ROOT_INODE
  /** Whether there was anything in the journal that had to be put in its place. */
  readonly wasReplayed: boolean
  readonly #layout: ExtLayout
  readonly #blocks: Blocks

  private constructor(layout: ExtLayout, blocks: Blocks, wasReplayed: boolean) {
    this.#layout = layout
    this.#blocks = blocks
    this.wasReplayed = wasReplayed
  }

  /**
   * Reads its superblock, and its journal if that has to be replayed. Nothing outside of `window`
   * is read. Fault: `disk-unreadable` if it is none, is damaged or has what is not read here.
   */
  static async open(window: Window): Promise<ExtFileSystem> {
    const layout = parseSuperblock(
      await readWindow(window, SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES))
    const plain = blocksOf(window, layout)
    const asFound = new ExtFileSystem(layout, plain, false)
    if (!layout.needsReplay) return asFound
    if (layout.journalInode === 0) fail('its journal is elsewhere')
    const replayed = await readJournal(await asFound.inode(layout.journalInode), plain)
    const blocks: Blocks = { ...plain, read: async (block, count) => {
      const bytes = await plain.read(block, count)
      for (let at = 0; at < count; at++) {
        const newer = await replayed.read(block + at)
        newer?.copy(bytes, at * layout.blockBytes)
      }
      return bytes
    } }
    return new ExtFileSystem(layout, blocks, true)
  }

  /** Fault: `disk-unreadable`. */
  async inode(number: number): Promise<ExtInode> {
    const { inodes, inodesPerGroup, inodeBytes, descriptorBytes, blockBytes, firstBlock } =
      this.#layout
    if (number < 1 || number > inodes) fail(`it has no inode ${number}`)
    const group = Math.floor((number - 1) / inodesPerGroup)
    const descriptor = await this.#bytes(
      (firstBlock + 1) * blockBytes + group * descriptorBytes, descriptorBytes)
    const table = descriptor.readUInt32LE(8) +
      (descriptorBytes >= 64 ? descriptor.readUInt32LE(40) * 2 ** 32 : 0)
    const index = (number - 1) % inodesPerGroup
    return parseInode(
      await this.#bytes(table * blockBytes + index * inodeBytes, inodeBytes), this.#blocks)
  }

  /** What the folder holds, without `.` and `..`. Fault: `disk-unreadable`. */
  async list(folder: Inode): Promise<readonly FolderEntry[]> {
    const { blockBytes } = this.#layout
    if (folder.kind !== 'folder') fail('what should be a folder is none')
    if (folder.sizeBytes > MAX_FOLDER_BYTES) fail(`a folder has ${folder.sizeBytes} bytes`)
    const entries: FolderEntry[] = []
    for (let offset = 0; offset < folder.sizeBytes; offset += PIECE_BYTES) {
      const bytes = await folder.read(offset, PIECE_BYTES)
      for (let at = 0; at + blockBytes <= bytes.length; at += blockBytes) {
        entries.push(...entriesOf(bytes.subarray(at, at + blockBytes)))
      }
    }
    return entries
  }

  /** Inside one block, or a few of them in a row. */
  async #bytes(offset: number, length: number): Promise<Buffer> {
    const { blockBytes } = this.#layout
    const first = Math.floor(offset / blockBytes)
    const count = Math.floor((offset + length - 1) / blockBytes) - first + 1
    const bytes = await this.#blocks.read(first, count)
    return bytes.subarray(offset - first * blockBytes, offset - first * blockBytes + length)
  }
}

function blocksOf(window: Window, { blockBytes, blocks }: ExtLayout): Blocks {
  return {
    blockBytes,
    read: (block, count) => block + count > blocks
      ? fail(`it points at block ${block}, which it does not have`)
      : readWindow(window, block * blockBytes, count * blockBytes),
  }
}

/** "Linear Directories": the index of a large folder looks like entries that are not used. */
function entriesOf(block: Buffer): readonly FolderEntry[] {
  const entries: FolderEntry[] = []
  for (let at = 0; at + 8 <= block.length;) {
    const inode = block.readUInt32LE(at)
    const length = block.readUInt16LE(at + 4)
    const nameLength = block.readUInt8(at + 6)
    if (length < 8 || length % 4 !== 0 || length > block.length - at || nameLength > length - 8) {
      fail('a folder is damaged')
    }
    const name = block.toString('utf8', at + 8, at + 8 + nameLength)
    if (inode !== 0 && name !== '.' && name !== '..' && name !== '') entries.push({ name, inode })
    at += length
  }
  return entries
}
