/**
 * Inodes of XFS and where their blocks lie (XFS Algorithms & Data Structures: "On-disk Inode",
 * "Data Extents"). All numbers are big-endian.
 */

import { rawCrc32c } from '../probe/crc32c.ts'
import { fail, type Inode, type InodeKind } from './image-file.ts'
import { hole, readRuns, type Blocks, type Run } from './runs.ts'
import type { XfsLayout } from './xfs-superblock.ts'

export interface XfsInode extends Inode {
  /** What is kept in the inode itself: a short folder or link; undefined if it has blocks. */
  readonly local: Buffer | undefined
}

const KINDS: Readonly<Record<number, InodeKind>> = { 0x8: 'file', 0x4: 'folder', 0xa: 'link' }
const [LOCAL, EXTENTS, BTREE] = [1, 2, 3]
const FLAG_REALTIME = 1
const FLAG2_MANY_EXTENTS = 0x10n
const MAX_SIZE = 2 ** 53
const MAX_LEVELS = 9
const RECORD_BYTES = 16
const FORK_OFFSET = 176
const TREE_HEAD_BYTES = 72

/** Fault: `disk-unreadable`. */
export function parseXfsInode(
  bytes: Buffer, number: number, layout: XfsLayout, blocks: Blocks): XfsInode {
  if (bytes.readUInt16BE(0) !== 0x494e) fail(`inode ${number} is none`)
  if (bytes.readUInt8(4) !== 3) fail(`inode ${number} is of an unknown version`)
  checkInode(bytes, number)
  const kind = KINDS[bytes.readUInt16BE(2) >> 12] ?? 'other'
  const format = bytes.readUInt8(5)
  const size = bytes.readBigUInt64BE(56)
  if (size > BigInt(MAX_SIZE)) fail(`inode ${number} claims ${size} bytes`)
  const sizeBytes = Number(size)
  if (kind === 'file' && (bytes.readUInt16BE(90) & FLAG_REALTIME) !== 0) {
    fail('a file in it lies on its real-time device')
  }
  const attributes = bytes.readUInt8(82) * 8
  const fork = Buffer.from(bytes.subarray(FORK_OFFSET,
    attributes === 0 ? bytes.length : Math.min(bytes.length, FORK_OFFSET + attributes)))
  const local = format === LOCAL ? fork.subarray(0, Math.min(sizeBytes, fork.length)) : undefined
  const find = format === EXTENTS ? extentsOf(fork, extentCount(bytes), layout)
    : format === BTREE ? (block: number) => findInTree(fork, block, layout, blocks) : undefined
  return {
    kind, sizeBytes, local,
    inlineTarget: kind === 'link' ? local?.toString('utf8') : undefined,
    read: async (offset, length) => {
      if (kind === 'link') fail('a symbolic link in it is longer than is read')
      if (find === undefined) fail('something in it that has no contents is read')
      return readRuns(find, { sizeBytes, offset, length }, blocks)
    },
  }
}

function checkInode(bytes: Buffer, number: number): void {
  const guarded = Buffer.from(bytes)
  guarded.writeUInt32LE(0, 100)
  const isOwn = bytes.readBigUInt64BE(152) === BigInt(number)
  if (!isOwn || (~rawCrc32c(guarded) >>> 0) !== bytes.readUInt32LE(100)) {
    fail(`the checksum of inode ${number} is wrong`)
  }
}

function extentCount(bytes: Buffer): number {
  const hasMany = (bytes.readBigUInt64BE(120) & FLAG2_MANY_EXTENTS) !== 0n
  return hasMany ? Number(bytes.readBigUInt64BE(24)) : bytes.readUInt32BE(76)
}

function extentsOf(
  fork: Buffer, count: number, layout: XfsLayout): (block: number) => Promise<Run> {
  if (count * RECORD_BYTES > fork.length) fail('an inode has more extents than room for them')
  const records = fork.subarray(0, count * RECORD_BYTES)
  return (block) => Promise.resolve(runIn(records, block, layout, 2 ** 54))
}

/** The run in a list of extents, which are in order; `end`: where what they speak of ends. */
function runIn(records: Buffer, wanted: number, layout: XfsLayout, end: number): Run {
  for (let at = 0; at < records.length; at += RECORD_BYTES) {
    const [high, low] = [records.readBigUInt64BE(at), records.readBigUInt64BE(at + 8)]
    const first = Number((high & 0x7fff_ffff_ffff_ffffn) >> 9n)
    const length = Number(low & 0x1f_ffffn)
    if (wanted < first) return hole(wanted, first)
    if (wanted >= first + length) continue
    const block = (high & 0x1ffn) << 43n | low >> 21n
    const isUnwritten = high >> 63n === 1n
    return {
      physical: isUnwritten ? undefined : layout.linear(Number(block)) + wanted - first,
      blocks: first + length - wanted }
  }
  return hole(wanted, end)
}

/** Down the tree whose root is in the inode. */
async function findInTree(
  root: Buffer, wanted: number, layout: XfsLayout, blocks: Blocks): Promise<Run> {
  let [node, head] = [root, 4]
  let end = 2 ** 54
  let level = root.readUInt16BE(0)
  if (level < 1 || level > MAX_LEVELS) fail('a tree of extents is damaged')
  for (;;) {
    const count = node.readUInt16BE(head === 4 ? 2 : 6)
    const room = Math.floor((node.length - head) / RECORD_BYTES)
    if (count < 1 || count > room) fail('a tree of extents is damaged')
    if (level === 0) {
      return runIn(node.subarray(head, head + count * RECORD_BYTES), wanted, layout, end)
    }
    let index = 0
    while (index + 1 < count && Number(node.readBigUInt64BE(head + (index + 1) * 8)) <= wanted) {
      index++
    }
    if (index + 1 < count) end = Number(node.readBigUInt64BE(head + (index + 1) * 8))
    const pointer = Number(node.readBigUInt64BE(head + room * 8 + index * 8))
    node = await blocks.read(layout.linear(pointer), 1)
    head = TREE_HEAD_BYTES
    level--
    const isNode = node.readUInt16BE(4) === level && node.toString('latin1', 0, 4) === 'BMA3'
    if (!isNode) fail('a tree of extents is damaged')
  }
}
