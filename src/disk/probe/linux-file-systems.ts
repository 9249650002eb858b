/**
 * File systems of Linux, told by their superblocks: ext2/3/4 (Linux, Documentation/filesystems/ext4
 * "Super Block"), XFS (XFS Algorithms & Data Structures, "Superblocks"), btrfs (its on-disk format
 * page, "Superblock").
 */

import { rawCrc32c } from './crc32c.ts'
import { cString, names, uuidText } from './text.ts'
import type { Recognised, VolumeActivity } from './volume.ts'
import type { Window } from './window.ts'
import { readXfsLog, type XfsLogPlace, type XfsLogState } from './xfs-log.ts'

const EXT_FEATURE_COMPAT_HAS_JOURNAL = 0x4
const EXT_FEATURE_INCOMPAT_RECOVER = 0x4
const EXT_FEATURE_INCOMPAT_JOURNAL_DEV = 0x8
const EXT_FEATURE_RO_COMPAT_METADATA_CSUM = 0x400
const EXT_ERROR_FS = 0x2

const WRONG_CHECKSUM = 'the superblock\'s checksum is wrong'

/** `head` is the beginning of the volume, as for all recognisers here. */
export function recogniseExt(head: Buffer): Recognised | undefined {
  if (head.length < 2048 || head.readUInt16LE(1024 + 56) !== 0xef53) return undefined
  const superblock = head.subarray(1024, 2048)
  const isPlausible = superblock.readUInt32LE(24) <= 6 && superblock.readUInt32LE(0) > 0 &&
    superblock.readUInt32LE(4) > 0
  if (!isPlausible) return undefined
  const id = names(
    uuidText(superblock.subarray(104, 120)), cString(superblock.subarray(120, 136)))
  return { kind: 'ext', ...id, ...extActivity(superblock) }
}

function extActivity(superblock: Buffer): Pick<Recognised, 'activity' | 'detail'> {
  const incompat = superblock.readUInt32LE(96)
  const isGuarded = (superblock.readUInt32LE(100) & EXT_FEATURE_RO_COMPAT_METADATA_CSUM) !== 0
  if (isGuarded && superblock.readUInt32LE(1020) !== rawCrc32c(superblock.subarray(0, 1020))) {
    return { activity: 'unknown', detail: WRONG_CHECKSUM }
  }
  if ((incompat & EXT_FEATURE_INCOMPAT_JOURNAL_DEV) !== 0) {
    return { activity: 'unknown', detail: 'the journal of another file system' }
  }
  if ((superblock.readUInt32LE(92) & EXT_FEATURE_COMPAT_HAS_JOURNAL) === 0) {
    return { activity: 'unknown', detail: 'no journal' }
  }
  if ((incompat & EXT_FEATURE_INCOMPAT_RECOVER) !== 0) {
    return { activity: 'active', detail: 'needs_recovery is set' }
  }
  const hasErrors = (superblock.readUInt16LE(58) & EXT_ERROR_FS) !== 0
  return {
    activity: 'clean',
    detail: `needs_recovery is not set${hasErrors ? ', errors are recorded' : ''}`,
  }
}

/** Reads the log too: a superblock of XFS says nothing of the instant. */
export async function recogniseXfs(
  head: Buffer, volume: Window): Promise<Recognised | undefined> {
  if (head.length < 512 || head.toString('latin1', 0, 4) !== 'XFSB') return undefined
  const blockBytes = head.readUInt32BE(4)
  if (blockBytes < 512 || blockBytes > 65_536 || !Number.isInteger(Math.log2(blockBytes))) {
    return undefined
  }
  const id = names(uuidText(head.subarray(32, 48)), cString(head.subarray(108, 120)))
  const place = xfsLogPlace(head, blockBytes)
  if (place === undefined) {
    return { kind: 'xfs', ...id, activity: 'unknown', detail: 'its log is on another disk' }
  }
  const { state, detail } = await readXfsLog(volume, place)
  return { kind: 'xfs', ...id, activity: XFS_ACTIVITY[state], detail }
}

const XFS_ACTIVITY: Readonly<Record<XfsLogState['state'], VolumeActivity>> = {
  clean: 'clean', frozen: 'frozen', active: 'active', unreadable: 'unknown',
}

/** The log inside the volume; a block's number has its allocation group in the high bits. */
function xfsLogPlace(superblock: Buffer, blockBytes: number): XfsLogPlace | undefined {
  const start = superblock.readBigUInt64BE(48)
  if (start === 0n) return undefined
  const groupBits = BigInt(superblock.readUInt8(124) & 63)
  const group = Number(start >> groupBits)
  const within = Number(start & ((1n << groupBits) - 1n))
  return {
    offset: (group * superblock.readUInt32BE(84) + within) * blockBytes,
    blocks: Math.floor(superblock.readUInt32BE(96) * blockBytes / 512),
    // Also where the feature META_UUID keeps the first one for all else.
    fsUuid: superblock.subarray(32, 48),
  }
}

const BTRFS_SUPERBLOCK = 65_536

export function recogniseBtrfs(head: Buffer): Recognised | undefined {
  if (head.length < BTRFS_SUPERBLOCK + 4096) return undefined
  const superblock = head.subarray(BTRFS_SUPERBLOCK, BTRFS_SUPERBLOCK + 4096)
  if (superblock.toString('latin1', 64, 72) !== '_BHRfS_M') return undefined
  if (superblock.readBigUInt64LE(48) !== BigInt(BTRFS_SUPERBLOCK)) return undefined
  const id = names(uuidText(superblock.subarray(32, 48)), cString(superblock.subarray(299, 555)))
  const usesCrc32c = superblock.readUInt16LE(196) === 0
  if (usesCrc32c && (~superblock.readUInt32LE(0) >>> 0) !== rawCrc32c(superblock.subarray(32))) {
    return { kind: 'btrfs', ...id, activity: 'unknown', detail: WRONG_CHECKSUM }
  }
  const logRoot = superblock.readBigUInt64LE(96)
  return logRoot === 0n
    ? { kind: 'btrfs', ...id, activity: 'unknown', detail: 'log_root is 0, which says nothing' }
    : { kind: 'btrfs', ...id, activity: 'active', detail: `log_root is ${logRoot}` }
}
