/** Where things lie in XFS of version 5 (XFS Algorithms & Data Structures: "Superblocks"). */

import { rawCrc32c } from '../probe/crc32c.ts'
import { fail } from './image-file.ts'

export interface XfsLayout {
  readonly blockBytes: number
  readonly blocks: number
  readonly inodeBytes: number
  readonly rootInode: number
  /** Bytes of a folder's blocks. */
  readonly folderBytes: number
  /** Whether the entries of folders name the type of what they lead to. */
  readonly hasTypes: boolean
  /** A block's number, which has its group in the high bits, counted from the beginning. */
  linear(block: number): number
  /** Where an inode lies: counted blocks, and bytes within. */
  inodePlace(inode: number): { readonly block: number; readonly offset: number }
}

/** FTYPE, SPINODES, META_UUID, BIGTIME, NREXT64, EXCHRANGE, PARENT: what is read is the same. */
const READ_INCOMPAT = 0xef
const INCOMPAT_FTYPE = 1

/** Fault: `disk-unreadable`. */
export function parseXfsSuperblock(bytes: Buffer): XfsLayout {
  if (bytes.toString('latin1', 0, 4) !== 'XFSB') fail('it has no superblock of XFS')
  if ((bytes.readUInt16BE(100) & 0xf) !== 5) fail('it is of version 4, which is not read')
  checkFeatures(bytes)
  const [blockBytes, groupBlocks, groups] =
    [bytes.readUInt32BE(4), bytes.readUInt32BE(84), bytes.readUInt32BE(88)]
  const inodeBytes = bytes.readUInt16BE(104)
  const [inodeBits, groupBits] = [bytes.readUInt8(123), bytes.readUInt8(124)]
  const folderBytes = blockBytes * 2 ** Math.min(bytes.readUInt8(192), 8)
  const blocks = Number(bytes.readBigUInt64BE(8))
  const isPlausible = blockBytes >= 512 && blockBytes <= 65_536 &&
    Number.isInteger(Math.log2(blockBytes)) && inodeBytes >= 256 && inodeBytes <= 2048 &&
    inodeBytes * 2 ** inodeBits === blockBytes && groupBits <= 31 && groupBlocks > 0 &&
    groupBlocks <= 2 ** groupBits && groups > 0 && blocks <= groupBlocks * groups &&
    folderBytes <= 65_536
  if (!isPlausible) fail('its superblock makes no sense')
  const linear = (block: number): number =>
    Math.floor(block / 2 ** groupBits) * groupBlocks + block % 2 ** groupBits
  return {
    blockBytes, blocks, inodeBytes, folderBytes, linear,
    rootInode: Number(bytes.readBigUInt64BE(56)),
    hasTypes: (bytes.readUInt32BE(216) & INCOMPAT_FTYPE) !== 0,
    inodePlace: (inode) => ({
      block: linear(Math.floor(inode / 2 ** inodeBits)),
      offset: inode % 2 ** inodeBits * inodeBytes }),
  }
}

function checkFeatures(bytes: Buffer): void {
  const unread = (bytes.readUInt32BE(216) & ~READ_INCOMPAT) >>> 0
  if (unread !== 0) fail(`it has features that are not read (0x${unread.toString(16)})`)
  const sectorBytes = bytes.readUInt16BE(102)
  if (sectorBytes < 512 || sectorBytes > bytes.length) fail('its superblock makes no sense')
  const guarded = Buffer.from(bytes.subarray(0, sectorBytes))
  guarded.writeUInt32LE(0, 224)
  if ((~rawCrc32c(guarded) >>> 0) !== bytes.readUInt32LE(224)) {
    fail('the superblock\'s checksum is wrong')
  }
}
