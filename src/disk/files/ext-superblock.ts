/** Where things lie in ext4 (Linux, Documentation/filesystems/ext4: "Super Block"). */

import { rawCrc32c } from '../probe/crc32c.ts'
import { fail } from './image-file.ts'

export interface ExtLayout {
  readonly blockBytes: number
  readonly blocks: number
  readonly firstBlock: number
  readonly inodes: number
  readonly inodesPerGroup: number
  readonly inodeBytes: number
  readonly descriptorBytes: number
  /** The inode of its journal; 0 where it has none. */
  readonly journalInode: number
  /** `needs_recovery`: the journal holds what is not in its place yet. */
  readonly needsReplay: boolean
}

const COMPAT_HAS_JOURNAL = 0x4
const INCOMPAT_RECOVER = 0x4
const INCOMPAT_64BIT = 0x80
/** Of the incompatible features, those that change nothing of what is read here, or are known. */
const READ_INCOMPAT =
  0x2 | INCOMPAT_RECOVER | 0x40 | INCOMPAT_64BIT | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 |
  0x8000 | 0x10000 | 0x20000
const RO_COMPAT_METADATA_CSUM = 0x400
/** Larger blocks need hardware with larger pages, and write their folders in another way. */
const MAX_BLOCK_BYTES = 32_768

export const SUPERBLOCK_OFFSET = 1024
export const SUPERBLOCK_BYTES = 1024

/** Fault: `disk-unreadable`. */
export function parseSuperblock(bytes: Buffer): ExtLayout {
  if (bytes.readUInt16LE(56) !== 0xef53) fail('it has no superblock of ext4')
  const incompat = bytes.readUInt32LE(96)
  const unread = (incompat & ~READ_INCOMPAT) >>> 0
  if (unread !== 0) fail(`it has features that are not read (0x${unread.toString(16)})`)
  const isGuarded = (bytes.readUInt32LE(100) & RO_COMPAT_METADATA_CSUM) !== 0
  if (isGuarded && bytes.readUInt32LE(1020) !== rawCrc32c(bytes.subarray(0, 1020))) {
    fail('the superblock\'s checksum is wrong')
  }
  const blockBytes = 1024 * 2 ** Math.min(bytes.readUInt32LE(24), 31)
  const is64 = (incompat & INCOMPAT_64BIT) !== 0
  const layout: ExtLayout = {
    blockBytes,
    blocks: bytes.readUInt32LE(4) + (is64 ? bytes.readUInt32LE(336) * 2 ** 32 : 0),
    firstBlock: bytes.readUInt32LE(20),
    inodes: bytes.readUInt32LE(0),
    inodesPerGroup: bytes.readUInt32LE(40),
    inodeBytes: bytes.readUInt32LE(76) === 0 ? 128 : bytes.readUInt16LE(88),
    descriptorBytes: is64 ? bytes.readUInt16LE(254) : 32,
    journalInode: (bytes.readUInt32LE(92) & COMPAT_HAS_JOURNAL) === 0
      ? 0 : bytes.readUInt32LE(224),
    needsReplay: (incompat & INCOMPAT_RECOVER) !== 0,
  }
  const { inodeBytes, descriptorBytes } = layout
  const isPlausible = blockBytes <= MAX_BLOCK_BYTES && layout.inodesPerGroup > 0 &&
    inodeBytes >= 128 && inodeBytes <= blockBytes && Number.isInteger(Math.log2(inodeBytes)) &&
    descriptorBytes >= 32 && descriptorBytes <= 1024
  return isPlausible ? layout : fail('its superblock makes no sense')
}
