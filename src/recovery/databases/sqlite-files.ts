/**
 * SQLite's files by their bytes ("Database File Format" of SQLite: 1.3 the header, 3 the rollback
 * journal, 4 the write-ahead log).
 */

import type { ImageFile } from '../../disk/mod.ts'

export interface SqliteHeader {
  readonly pageBytes: number
  readonly hasLog: boolean
  /** One more with each commit, but for those that are in the log alone. */
  readonly changeCounter: number
  /** Undefined where an old program wrote last, which did not keep it. */
  readonly pages: number | undefined
}

const MAGIC = 'SQLite format 3\0'
export const HEADER_BYTES = 100

/** Undefined: it is no database. */
export function parseHeader(bytes: Buffer): SqliteHeader | undefined {
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 16) !== MAGIC) return undefined
  const stated = bytes.readUInt16BE(16)
  const pageBytes = stated === 1 ? 65_536 : stated
  if (pageBytes < 512 || !Number.isInteger(Math.log2(pageBytes))) return undefined
  const changeCounter = bytes.readUInt32BE(24)
  return {
    pageBytes, hasLog: bytes[18] === 2, changeCounter,
    pages: bytes.readUInt32BE(92) === changeCounter ? bytes.readUInt32BE(28) : undefined,
  }
}

const JOURNAL_MAGIC = 0xd9d505f920a163d7n

/** Whether a transaction was being written, which the next to open the database undoes. */
export async function isHot(journal: ImageFile): Promise<boolean> {
  const head = await journal.read(0, 512)
  return head.length >= 28 && head.readBigUInt64BE(0) === JOURNAL_MAGIC
}

export interface FollowedLog {
  /** Both, as eight hexadecimal digits each; empty where the log has no heading. */
  readonly salt: string
  /** The number of the last frame that ends a commit, and is whole as all before it are. */
  readonly frames: number
}

const LOG_MAGIC = 0x377f0682
const LOG_HEAD_BYTES = 32
const FRAME_HEAD_BYTES = 24
const FRAMES_AT_ONCE = 64

/** Follows the checksums from frame to frame, as SQLite's own recovery does. */
export async function followLog(
  log: ImageFile, maxBytes: number): Promise<FollowedLog | 'too-long'> {
  const head = await log.read(0, LOG_HEAD_BYTES)
  if (head.length < LOG_HEAD_BYTES || (head.readUInt32BE(0) & ~1) >>> 0 !== LOG_MAGIC) {
    return { salt: '', frames: 0 }
  }
  const isBig = (head.readUInt32BE(0) & 1) === 1
  const pageBytes = head.readUInt32BE(8)
  const sum = new LogSum(isBig)
  sum.push(head.subarray(0, 24))
  const isHead = sum.isAt(head, 24) && pageBytes >= 512 && pageBytes <= 65_536 &&
    Number.isInteger(Math.log2(pageBytes))
  if (!isHead) return { salt: '', frames: 0 }
  if (log.sizeBytes > maxBytes) return 'too-long'
  const salt = head.subarray(16, 24)
  const frameBytes = FRAME_HEAD_BYTES + pageBytes
  let [frames, seen] = [0, 0]
  for (let offset = LOG_HEAD_BYTES; ; offset += FRAMES_AT_ONCE * frameBytes) {
    const bytes = await log.read(offset, FRAMES_AT_ONCE * frameBytes)
    for (let at = 0; at + frameBytes <= bytes.length; at += frameBytes) {
      const frame = bytes.subarray(at, at + frameBytes)
      sum.push(frame.subarray(0, 8))
      sum.push(frame.subarray(FRAME_HEAD_BYTES))
      const isNext = frame.subarray(8, 16).equals(salt) && sum.isAt(frame, 16)
      if (!isNext) return { salt: salt.toString('hex'), frames }
      seen++
      if (frame.readUInt32BE(4) !== 0) frames = seen // a commit
    }
    if (bytes.length < FRAMES_AT_ONCE * frameBytes) return { salt: salt.toString('hex'), frames }
  }
}

/** "Checksum Algorithm" of the same document, 4.2. */
class LogSum {
  readonly #isBig: boolean
  #first = 0
  #second = 0

  constructor(isBig: boolean) {
    this.#isBig = isBig
  }

  push(bytes: Buffer): void {
    const read = this.#isBig ? 'readUInt32BE' : 'readUInt32LE'
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      this.#first = (this.#first + bytes[read](at) + this.#second) >>> 0
      this.#second = (this.#second + bytes[read](at + 4) + this.#first) >>> 0
    }
  }

  isAt(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32BE(at) === this.#first && bytes.readUInt32BE(at + 4) === this.#second
  }
}
