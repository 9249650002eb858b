/**
 * Follows the log of InnoDB from mini-transaction to mini-transaction, as MariaDB 10.8 and newer
 * write it (its source, storage/innobase: include/log0log.h, include/mtr0log.h, log0recv.cc).
 */

import { rawCrc32c, type ImageFile } from '../../disk/mod.ts'

export interface InnodbLog {
  readonly firstLsn: bigint
  readonly capacity: number
  /** Where a recovery begins: the newest checkpoint whose block is whole. */
  readonly checkpoint: bigint
}

/** "Phys" */
const FORMAT = 0x50687973

const START_OFFSET = 12_288
const HEADER_BYTES = 512
const CHECKPOINTS = [4096, 8192]
const CHECKPOINT_BYTES = 64
/** Read at once, and the longest mini-transaction that is followed. */
const WINDOW_BYTES = 1024 * 1024
const MAX_WINDOW_BYTES = 64 * 1024 * 1024

/** `unknown`: of another version, or encrypted. `damaged`: with it no server starts. */
export async function readLogHead(file: ImageFile): Promise<InnodbLog | 'unknown' | 'damaged'> {
  const head = await file.read(0, HEADER_BYTES)
  if (head.length < HEADER_BYTES || file.sizeBytes <= START_OFFSET) return 'damaged'
  const format = head.readUInt32BE(0)
  if (format !== FORMAT) return 'unknown' // one that is encrypted has another
  if (crc32c(head.subarray(0, 508)) !== head.readUInt32BE(508)) return 'damaged'
  const checkpoints: bigint[] = []
  for (const offset of CHECKPOINTS) {
    const block = await file.read(offset, CHECKPOINT_BYTES)
    const isWhole = block.length === CHECKPOINT_BYTES &&
      crc32c(block.subarray(0, 60)) === block.readUInt32BE(60)
    if (isWhole) checkpoints.push(block.readBigUInt64BE(0))
  }
  const firstLsn = head.readBigUInt64BE(8)
  const newest = checkpoints.filter((it) => it >= firstLsn)
    .reduce<bigint | undefined>((a, b) => a === undefined || b > a ? b : a, undefined)
  return newest === undefined ? 'damaged'
    : { firstLsn, capacity: file.sizeBytes - START_OFFSET, checkpoint: newest }
}

export interface FollowedLog {
  /** Behind the last whole mini-transaction. */
  readonly end: bigint
  readonly transactions: number
}

/** From the checkpoint on. The end of a log cannot be told from damage in it. */
export async function followLog(
  log: InnodbLog, file: ImageFile, maxBytes: number): Promise<FollowedLog | 'too-long'> {
  const limit = Math.min(maxBytes, log.capacity)
  let at = log.checkpoint
  let transactions = 0
  for (let windowBytes = WINDOW_BYTES; ;) {
    const done = Number(at - log.checkpoint)
    if (done > maxBytes) return 'too-long'
    const wanted = Math.min(windowBytes, limit - done)
    const window = await readRound(log, file, at, wanted)
    const taken = takeAll(log, window, at)
    transactions += taken.count
    at += BigInt(taken.bytes)
    if (taken.why === 'end') return { end: at, transactions }
    if (taken.count > 0) windowBytes = WINDOW_BYTES
    else if (windowBytes < MAX_WINDOW_BYTES && wanted === windowBytes) windowBytes *= 2
    else return wanted < windowBytes && limit === log.capacity
      ? { end: at, transactions } : 'too-long'
  }
}

/** The file is written round and round behind its heading. */
async function readRound(
  { firstLsn, capacity }: InnodbLog, file: ImageFile, at: bigint, length: number,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  let offset = Number((at - firstLsn) % BigInt(capacity))
  for (let left = length; left > 0;) {
    const piece = await file.read(START_OFFSET + offset, Math.min(left, capacity - offset))
    if (piece.length === 0) break
    pieces.push(piece)
    left -= piece.length
    offset = (offset + piece.length) % capacity
  }
  return Buffer.concat(pieces)
}

interface Taken {
  readonly bytes: number
  readonly count: number
  /** `more`: what follows does not lie wholly in the window. */
  readonly why: 'end' | 'more'
}

function takeAll(log: InnodbLog, window: Buffer, lsn: bigint): Taken {
  let [bytes, count] = [0, 0]
  for (;;) {
    const next = transactionEnd(log, window, bytes, lsn)
    if (typeof next === 'string') return { bytes, count, why: next }
    bytes = next
    count++
  }
}

/**
 * Where the mini-transaction at `start` ends: records, each with its length, then a byte that turns
 * with every round through the file, then a checksum of the records.
 */
function transactionEnd(
  { firstLsn, capacity }: InnodbLog, window: Buffer, start: number, lsn: bigint,
): number | 'end' | 'more' {
  let at = start
  for (;;) {
    if (at + 10 > window.length) return 'more'
    const first = window.readUInt8(at)
    if (first <= 1) break
    const short = first & 0xf
    const long = short === 0 ? longLength(window, at + 1) : undefined
    if (short === 0 && long === undefined) return 'end'
    at += 1 + (long ?? short)
  }
  const round = (lsn + BigInt(at) - firstLsn) / BigInt(capacity)
  const isOfThisRound = window.readUInt8(at) === (round % 2n === 0n ? 1 : 0)
  if (at === start || !isOfThisRound) return 'end'
  return crc32c(window.subarray(start, at)) === window.readUInt32BE(at + 1) ? at + 5 : 'end'
}

/** `mlog_decode_varint`: the length behind the first byte of a record, its own bytes included. */
function longLength(window: Buffer, at: number): number | undefined {
  const first = window.readUInt8(at)
  const [bytes, base, mask] = first < 0x80 ? [1, 0, 0x7f]
    : first < 0xc0 ? [2, 0x80, 0x3f]
      : first < 0xe0 ? [3, 0x4080, 0x1f]
        : first < 0xf0 ? [4, 0x204080, 0xf] : [0, 0, 0]
  if (bytes === 0) return undefined // more than 256 MiB
  let value = first & mask
  for (let index = 1; index < bytes; index++) value = value * 256 + window.readUInt8(at + index)
  return base + value + 15
}

function crc32c(bytes: Uint8Array): number {
  return ~rawCrc32c(bytes) >>> 0
}
