/** Inodes of ext4 and where their blocks lie ("Index Nodes", "Extent Tree" of its description). */

import { fail, type Inode, type InodeKind } from './image-file.ts'
import { hole, readRuns, type Blocks, type Run } from './runs.ts'

export interface ExtInode extends Inode {
  /** The file system's block under a block of the file; undefined under a hole. */
  physical(block: number): Promise<number | undefined>
}

const KINDS: Readonly<Record<number, InodeKind>> = { 0x8: 'file', 0x4: 'folder', 0xa: 'link' }
const FLAG_ENCRYPTED = 0x800
const FLAG_EXTENTS = 0x80000
const FLAG_INLINE = 0x10000000
const MAGIC = 0xf30a
const MAX_DEPTH = 5
/** More than the largest file has. */
const MAX_SIZE = 2 ** 46

/** Fault: `disk-unreadable`, if it is of a sort that is not read. */
export function parseInode(bytes: Buffer, blocks: Blocks): ExtInode {
  const kind = KINDS[bytes.readUInt16LE(0) >> 12] ?? 'other'
  const sizeBytes = bytes.readUInt32LE(4) + bytes.readUInt32LE(108) * 2 ** 32
  const flags = bytes.readUInt32LE(32)
  const root = Buffer.from(bytes.subarray(40, 100))
  if ((flags & FLAG_ENCRYPTED) !== 0) fail('a file in it is encrypted')
  if ((flags & FLAG_INLINE) !== 0) fail('a file in it is kept inside its inode')
  const isInline = kind === 'link' && sizeBytes < root.length && (flags & FLAG_EXTENTS) === 0
  if (!isInline && kind !== 'other' && (flags & FLAG_EXTENTS) === 0) {
    fail('a file in it is kept in a block map, as ext3 did')
  }
  if (sizeBytes > MAX_SIZE) fail(`a file in it claims ${sizeBytes} bytes`)
  const physical = async (block: number): Promise<number | undefined> =>
    (await findRun(root, block, blocks)).physical
  return {
    kind, sizeBytes, physical,
    inlineTarget: isInline ? root.toString('utf8', 0, sizeBytes) : undefined,
    read: async (offset, length) => {
      if (kind === 'other' || isInline) fail('something in it that has no contents is read')
      return readRuns(
        (block) => findRun(root, block, blocks), { sizeBytes, offset, length }, blocks)
    },
  }
}

/** The extent that block `wanted` of the file lies in, from there on, or the hole. */
async function findRun(root: Buffer, wanted: number, blocks: Blocks): Promise<Run> {
  let node = root
  let end = 2 ** 32 // where what this node speaks of ends
  for (let level = 0; level <= MAX_DEPTH; level++) {
    const entries = node.readUInt16LE(2)
    const depth = node.readUInt16LE(6)
    if (node.readUInt16LE(0) !== MAGIC || 12 + entries * 12 > node.length) {
      fail('an extent tree is damaged')
    }
    const last = lastBefore(node, entries, wanted)
    const next = last + 1 < entries ? node.readUInt32LE(12 + (last + 1) * 12) : end
    end = Math.min(end, next)
    if (last < 0) return hole(wanted, end)
    const at = 12 + last * 12
    if (depth === 0) return runOf(node.subarray(at, at + 12), wanted, end)
    node = await blocks.read(node.readUInt32LE(at + 4) + node.readUInt16LE(at + 8) * 2 ** 32, 1)
    if (node.readUInt16LE(6) !== depth - 1) fail('an extent tree is damaged')
  }
  return fail('an extent tree is too deep')
}

/** The index of the last entry that begins at or before `wanted`; -1 if none does. */
function lastBefore(node: Buffer, entries: number, wanted: number): number {
  let [low, high] = [0, entries]
  while (low < high) {
    const middle = (low + high) >> 1
    if (node.readUInt32LE(12 + middle * 12) <= wanted) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** More than 32768 blocks: reserved for the file and never written, which reads as zeros. */
function runOf(extent: Buffer, wanted: number, end: number): Run {
  const first = extent.readUInt32LE(0)
  const stated = extent.readUInt16LE(4)
  const isUnwritten = stated > 32_768
  const length = isUnwritten ? stated - 32_768 : stated
  const start = extent.readUInt32LE(8) + extent.readUInt16LE(6) * 2 ** 32
  const within = wanted - first
  if (within >= length) return hole(wanted, end)
  return { physical: isUnwritten ? undefined : start + within, blocks: length - within }
}
