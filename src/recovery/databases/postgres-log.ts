/**
 * Follows PostgreSQL's write-ahead log from record to record, as its recovery does (its source,
 * src/include/access/xlogrecord.h and xlog_internal.h; src/backend/access/transam/xlogreader.c).
 */

import { rawCrc32c } from '../../disk/mod.ts'

/** One segment of the log; undefined where there is none. At most `length` bytes from `offset`. */
export type ReadSegment = (
  segment: bigint, offset: number, length: number) => Promise<Buffer | undefined>

export interface FollowedLog {
  /** Behind the last whole record. */
  readonly end: bigint
  readonly records: number
  /**
   * That, or behind the heading of the page that begins there, as positions are given either way.
   * Further where whole pages of a record were written whose end was not: servers flush by pages.
   */
  readonly written: bigint
  /** Whether a record of a checkpoint begins where it was asked for. */
  readonly hasCheckpoint: boolean
  /** Whether it ends because there is no further file of it. */
  readonly isMissing: boolean
  /** Why it ends there; for the operator. */
  readonly why: string
}

export interface LogStart {
  readonly from: bigint
  /** Where the record of a checkpoint must lie. */
  readonly checkpoint: bigint
  readonly segmentBytes: number
  readonly systemId: bigint
}

const MISSING = 'the next file of the log is not there'
const PAGE_BYTES = 8192
const PAGE_HEAD_BYTES = 24
const LONG_PAGE_HEAD_BYTES = 40
const RECORD_HEAD_BYTES = 24
const MAX_RECORD_BYTES = 2 ** 30
/** `xlp_info`. */
const PAGE = { continues: 1, long: 2, overwrites: 8 } as const
/** Resource manager 0, `xl_info` in its upper half (pg_control.h). */
const SHUTDOWN_CHECKPOINT = 0x00
const ONLINE_CHECKPOINT = 0x10
const SWITCH = 0x40

/**
 * Follows the log from `from` until a record is not whole, or `maxBytes` are read. The end of a log
 * cannot be told from damage in it: what counts is how far it reaches.
 */
export async function followLog(
  start: LogStart, read: ReadSegment, maxBytes: number): Promise<FollowedLog | 'too-long'> {
  const pages = new Pages(start, read)
  const { checkpoint, segmentBytes } = start
  let end = start.from
  let previous: bigint | undefined
  let records = 0
  let hasCheckpoint = false
  for (;;) {
    if (Number(end - start.from) > maxBytes) return 'too-long'
    const at = pages.behindHead(end)
    const record = recordInPage(pages.loaded(at), at, previous) ??
      await readRecord(pages, at, previous)
    if ('why' in record) {
      const { why, written = at } = record
      return { end, written, records, hasCheckpoint, why, isMissing: why === MISSING }
    }
    records++
    if (record.at === checkpoint) hasCheckpoint = record.isCheckpoint
    previous = record.at
    end = record.isSwitch ? nextSegment(record.end, segmentBytes) : record.end
  }
}

/** Most records lie in one page, and the last one's is at hand: nothing has to be waited for. */
function recordInPage(
  page: Page | undefined, at: bigint, previous: bigint | undefined,
): LogRecord | NoRecord | undefined {
  const within = Number(at % BigInt(PAGE_BYTES))
  if (page === undefined || within + RECORD_HEAD_BYTES > PAGE_BYTES) return undefined
  const length = page.bytes.readUInt32LE(within)
  if (length < RECORD_HEAD_BYTES || within + length > PAGE_BYTES) return undefined
  const bytes = page.bytes.subarray(within, within + length)
  const why = whyNoRecord(bytes, previous)
  return why === undefined
    ? recordOf(bytes, rawCrc32c(bytes.subarray(RECORD_HEAD_BYTES)), at, aligned(at, length))
    : { why }
}

interface LogRecord {
  readonly at: bigint
  /** Behind it, where the next one may begin. */
  readonly end: bigint
  readonly isCheckpoint: boolean
  readonly isSwitch: boolean
}

/** Why there is no further record; `written`: up to where the pages of a cut one are there. */
interface NoRecord {
  readonly why: string
  readonly written?: bigint
}

/** A record that was given up half-way leads on to the page that says so. */
async function readRecord(
  pages: Pages, at: bigint, previous: bigint | undefined): Promise<LogRecord | NoRecord> {
  let place = at
  for (;;) {
    const record = await tryRecord(pages, place, previous)
    if (!('overwrittenAt' in record)) return record
    place = pages.behindHead(record.overwrittenAt)
  }
}

async function tryRecord(
  pages: Pages, at: bigint, previous: bigint | undefined,
): Promise<LogRecord | NoRecord | { overwrittenAt: bigint }> {
  const reader = new RecordReader(pages, at)
  const head = Buffer.alloc(RECORD_HEAD_BYTES)
  let filled = 0
  const trouble = await reader.take(RECORD_HEAD_BYTES, (bytes) => {
    filled += bytes.copy(head, filled)
    // The whole length is known from the first four bytes, which never cross a page.
    if (filled >= 4) reader.length = head.readUInt32LE(0)
  })
  if (trouble !== undefined) return trouble
  const why = whyNoRecord(head, previous)
  if (why !== undefined) return { why }
  let crc = 0xffffffff
  const cut = await reader.take(reader.length - RECORD_HEAD_BYTES, (bytes) => {
    crc = rawCrc32c(bytes, crc)
  })
  if (cut !== undefined) return 'why' in cut ? { ...cut, written: reader.at } : cut
  return recordOf(head, crc, at, aligned(reader.at, 0))
}

function whyNoRecord(head: Buffer, previous: bigint | undefined): string | undefined {
  const length = head.readUInt32LE(0)
  if (length < RECORD_HEAD_BYTES || length > MAX_RECORD_BYTES) {
    return length === 0 ? 'nothing follows' : 'no record follows'
  }
  return previous !== undefined && head.readBigUInt64LE(8) !== previous
    ? 'what follows is of an earlier use of the file' : undefined
}

/** Records begin at multiples of eight. */
function aligned(at: bigint, length: number): bigint {
  return (at + BigInt(length) + 7n) & ~7n
}

/** `bodyCrc`: of what is behind its head, not yet inverted. */
function recordOf(
  head: Buffer, bodyCrc: number, at: bigint, end: bigint): LogRecord | NoRecord {
  const crc = ~rawCrc32c(head.subarray(0, 20), bodyCrc) >>> 0
  if (crc !== head.readUInt32LE(20)) return { why: 'the next record\'s checksum is wrong' }
  const info = head.readUInt8(16) & 0xf0
  const isOfLog = head.readUInt8(17) === 0
  return {
    at, end,
    isCheckpoint: isOfLog && (info === SHUTDOWN_CHECKPOINT || info === ONLINE_CHECKPOINT),
    isSwitch: isOfLog && info === SWITCH,
  }
}

/** Takes the bytes of one record, which is continued behind the heading of each page. */
class RecordReader {
  /** Of the record as a whole, once it is known. */
  length = 0
  readonly #pages: Pages
  #at: bigint
  #taken = 0

  constructor(pages: Pages, at: bigint) {
    this.#pages = pages
    this.#at = at
  }

  /** Up to here it is there. */
  get at(): bigint {
    return this.#at
  }

  async take(
    count: number, use: (bytes: Buffer) => void,
  ): Promise<NoRecord | { overwrittenAt: bigint } | undefined> {
    for (let left = count; left > 0;) {
      const within = Number(this.#at % BigInt(PAGE_BYTES))
      const start = this.#at - BigInt(within)
      const page = await this.#pages.read(start)
      if ('why' in page) return page
      let from = within
      if (within === 0) {
        if ((page.info & PAGE.overwrites) !== 0) return { overwrittenAt: start }
        const isNext = (page.info & PAGE.continues) !== 0 &&
          page.remaining === this.length - this.#taken
        if (!isNext) return { why: 'the next record is cut at the end of a page' }
        from = page.headBytes
      }
      const bytes = page.bytes.subarray(from, Math.min(PAGE_BYTES, from + left))
      use(bytes)
      this.#at = start + BigInt(from + bytes.length)
      this.#taken += bytes.length
      left -= bytes.length
    }
    return undefined
  }
}

interface Page {
  readonly bytes: Buffer
  readonly info: number
  readonly headBytes: number
  /** Of a record that began before. */
  readonly remaining: number
}

class Pages {
  readonly #start: LogStart
  readonly #read: ReadSegment
  #last: { readonly at: bigint; readonly page: Page } | undefined

  constructor(start: LogStart, read: ReadSegment) {
    this.#start = start
    this.#read = read
  }

  /** A position at the beginning of a page stands for the first one behind its heading. */
  behindHead(at: bigint): bigint {
    if (at % BigInt(PAGE_BYTES) !== 0n) return at
    const isFirst = at % BigInt(this.#start.segmentBytes) === 0n
    return at + BigInt(isFirst ? LONG_PAGE_HEAD_BYTES : PAGE_HEAD_BYTES)
  }

  /** The page that holds `at`, if it is the one that was read last. */
  loaded(at: bigint): Page | undefined {
    const within = at % BigInt(PAGE_BYTES)
    return this.#last?.at === at - within ? this.#last.page : undefined
  }

  async read(at: bigint): Promise<Page | { why: string }> {
    if (this.#last?.at === at) return this.#last.page
    const { segmentBytes, systemId } = this.#start
    const segment = at / BigInt(segmentBytes)
    const bytes = await this.#read(segment, Number(at % BigInt(segmentBytes)), PAGE_BYTES)
    if (bytes === undefined) return { why: MISSING }
    if (bytes.length < PAGE_BYTES) return { why: 'a file of the log is too short' }
    // The magic number is of the release; what is not this very page is of an earlier use.
    const isPage = bytes.readUInt16LE(0) >> 8 === 0xd1 && bytes.readBigUInt64LE(8) === at
    if (!isPage) return { why: 'the next page was not written' }
    const info = bytes.readUInt16LE(2)
    const isLong = (info & PAGE.long) !== 0
    if (isLong && bytes.readBigUInt64LE(24) !== systemId) {
      return { why: 'the next file of the log is another cluster\'s' }
    }
    const page = {
      bytes, info, headBytes: isLong ? LONG_PAGE_HEAD_BYTES : PAGE_HEAD_BYTES,
      remaining: bytes.readUInt32LE(16) }
    this.#last = { at, page }
    return page
  }
}

function nextSegment(at: bigint, segmentBytes: number): bigint {
  const size = BigInt(segmentBytes)
  return (at + size - 1n) / size * size
}
