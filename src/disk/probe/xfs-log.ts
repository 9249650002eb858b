/**
 * The log of an XFS, read without replaying it (XFS Algorithms & Data Structures, "Journaling
 * Log"): what lies between its tail and its head is what a mount would replay.
 *
 * A frozen XFS is never "clean": the kernel leaves one dummy record on purpose, whose only item is
 * the superblock. Anything else between tail and head was cut while in use.
 */

import type { Window } from './window.ts'

/** Where the log lies, as the superblock says; the log's own blocks are 512 bytes. */
export interface XfsLogPlace {
  readonly offset: number
  readonly blocks: number
  readonly fsUuid: Buffer
}

/**
 * - `clean`: ends with an unmount record.
 * - `frozen`: only the superblock would be replayed: frozen, or at rest for half a minute.
 * - `active`: more would be replayed.
 * - `unreadable`: it does not say what we understand.
 */
export interface XfsLogState {
  readonly state: 'clean' | 'frozen' | 'active' | 'unreadable'
  readonly detail: string
}

const BLOCK = 512
const RECORD_MAGIC = 0xfeed_babe
/** Header words that keep the first word of each body block, which the cycle number replaces. */
const CYCLES_PER_HEADER = 64
const HEADER_COVERS = CYCLES_PER_HEADER * BLOCK
/** The largest record (XLOG_MAX_RECORD_BSIZE). */
const MAX_RECORD_BYTES = 256 * 1024
/** Eight records may be under way, so the last header is no further behind the head. */
const MAX_BLOCKS_BEHIND = 8 * (MAX_RECORD_BYTES / BLOCK + 8)
/** What is read between tail and head: a frozen log has some blocks there. */
const MAX_REPLAY_BLOCKS = 8192

const OP_HEADER = 12
const OP_START = 0x01
const OP_COMMIT = 0x02
const OP_CONTINUE = 0x04
const OP_WAS_CONTINUED = 0x08
const OP_UNMOUNT = 0x20
const TRANSACTION_MAGIC = 0x5452_414e
const ITEM_BUFFER = 0x123c

interface RecordHeader {
  readonly cycle: number
  readonly bodyBytes: number
  readonly headerBlocks: number
  readonly tailBlock: number
  readonly operations: number
}

/** Reads as much of the log as it needs: some dozen blocks, or what a mount would replay. */
export async function readXfsLog(volume: Window, place: XfsLogPlace): Promise<XfsLogState> {
  const log = new Log(volume, place)
  const head = await findHead(log)
  if (head === undefined) return unreadable('its end cannot be found')
  const last = await findLastRecord(log, head)
  if (last === undefined) return unreadable('its last record cannot be found')
  const { header } = last
  if (header.tailBlock >= place.blocks) return unreadable('its tail lies outside of it')
  const items = await readItems(log, last.at)
  if (items === undefined) return unreadable('its last record makes no sense')
  if (items.isUnmount) return { state: 'clean', detail: 'the log ends with an unmount' }
  return readReplay(log, header.tailBlock, head)
}

function unreadable(how: string): XfsLogState {
  return { state: 'unreadable', detail: `the log cannot be read: ${how}` }
}

/** What a mount would replay. */
async function readReplay(log: Log, tail: number, head: number): Promise<XfsLogState> {
  const length = (head - tail + log.blocks) % log.blocks
  let at = tail
  let read = 0
  while (read < length) {
    const items = await readItems(log, at)
    if (items === undefined) return unreadable(`there is no record at block ${at}`)
    if (items.other !== undefined) {
      return { state: 'active', detail: `the log would change more than the superblock: ${
        items.other}` }
    }
    read += items.blocks
    if (read > MAX_REPLAY_BLOCKS) return unreadable('too much of it would be replayed')
    at = (tail + read) % log.blocks
  }
  if (read !== length) return unreadable('its records do not end at its end')
  return { state: 'frozen', detail: `the log would change the superblock alone (${length} blocks)` }
}

/** The log as a ring of blocks; a read outside of the volume is nothing. */
class Log {
  readonly blocks: number
  readonly fsUuid: Buffer
  readonly #volume: Window
  readonly #offset: number

  constructor(volume: Window, { offset, blocks, fsUuid }: XfsLogPlace) {
    this.#volume = volume
    this.#offset = offset
    this.blocks = blocks
    this.fsUuid = fsUuid
  }

  async read(at: number, count: number): Promise<Buffer | undefined> {
    const first = Math.min(count, this.blocks - at)
    const start = await this.#volume.read(this.#offset + at * BLOCK, first * BLOCK)
    if (start === undefined || first === count) return start
    const rest = await this.#volume.read(this.#offset, (count - first) * BLOCK)
    return rest === undefined ? undefined : Buffer.concat([start, rest])
  }

  /** The cycle that block `at` was written in: 0 if it never was; nothing if it cannot be told. */
  async cycle(at: number): Promise<number | undefined> {
    const block = await this.read(at, 1)
    if (block === undefined) return undefined
    const word = block.readUInt32BE(0)
    return word === RECORD_MAGIC ? block.readUInt32BE(4) : word
  }

  async header(at: number): Promise<RecordHeader | undefined> {
    const block = await this.read(at, 1)
    if (block === undefined || block.readUInt32BE(0) !== RECORD_MAGIC) return undefined
    const bodyBytes = block.readUInt32BE(12)
    const recordBytes = block.readUInt32BE(320)
    const headers = (block.readUInt32BE(8) & 2) !== 0 && recordBytes > HEADER_COVERS
      ? Math.ceil(recordBytes / HEADER_COVERS) : 1
    const isPlausible = bodyBytes <= MAX_RECORD_BYTES && recordBytes <= MAX_RECORD_BYTES &&
      bodyBytes <= headers * HEADER_COVERS && block.readUInt32BE(20) === at &&
      block.subarray(304, 320).equals(this.fsUuid)
    return isPlausible ? {
      cycle: block.readUInt32BE(4), bodyBytes, headerBlocks: headers,
      tailBlock: block.readUInt32BE(28), operations: block.readUInt32BE(40),
    } : undefined
  }
}

/**
 * The block behind the last that was written: in a ring that is written round and round it is the
 * first of a lower cycle than the blocks before it. Nothing if the cycles are no such ring.
 */
async function findHead(log: Log): Promise<number | undefined> {
  const first = await log.cycle(0)
  const last = await log.cycle(log.blocks - 1)
  if (first === undefined || last === undefined || first === 0) return undefined
  if (first === last) return 0
  if (last !== 0 && last !== first - 1) return undefined
  let [low, high] = [0, log.blocks - 1] // low has the first cycle, high the last
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    const cycle = await log.cycle(middle)
    if (cycle === first) low = middle
    else if (cycle === last) high = middle
    else return undefined
  }
  return high
}

async function findLastRecord(log: Log, head: number): Promise<{
  readonly at: number; readonly header: RecordHeader } | undefined> {
  const most = Math.min(log.blocks, MAX_BLOCKS_BEHIND)
  for (let back = 1; back <= most; back++) {
    const at = (head - back + log.blocks) % log.blocks
    const header = await log.header(at)
    if (header === undefined) continue
    const end = at + header.headerBlocks + Math.ceil(header.bodyBytes / BLOCK)
    // One that ends elsewhere was not written to its end: what is in it is not known.
    return end % log.blocks === head % log.blocks ? { at, header } : undefined
  }
  return undefined
}

interface RecordItems {
  readonly blocks: number
  readonly isUnmount: boolean
  /** The first thing that is no change of the superblock, in words. */
  readonly other: string | undefined
}

/** What the record at `at` would change; nothing if there is none that makes sense. */
async function readItems(log: Log, at: number): Promise<RecordItems | undefined> {
  const header = await log.header(at)
  if (header === undefined) return undefined
  const bodyBlocks = Math.ceil(header.bodyBytes / BLOCK)
  const record = await log.read(at, header.headerBlocks + bodyBlocks)
  if (record === undefined) return undefined
  const blocks = header.headerBlocks + bodyBlocks
  const operations = operationsOf(record, header)
  if (operations === undefined) return undefined
  const isUnmount = operations.some(({ flags }) => (flags & OP_UNMOUNT) !== 0)
  return { blocks, isUnmount, other: isUnmount ? undefined : firstOther(operations) }
}

interface Operation {
  readonly flags: number
  readonly data: Buffer
}

/** The record's operations, its blocks' first words put back. */
function operationsOf(
  record: Buffer, { headerBlocks, bodyBytes, operations, cycle }: RecordHeader,
): readonly Operation[] | undefined {
  const body = Buffer.from(record.subarray(headerBlocks * BLOCK))
  for (let block = 0; block * BLOCK < bodyBytes; block++) {
    if (body.readUInt32BE(block * BLOCK) !== cycle) return undefined
    const header = Math.floor(block / CYCLES_PER_HEADER)
    // The extended headers hold nothing but a cycle and the words.
    const words = header === 0 ? 44 : header * BLOCK + 4
    record.copy(body, block * BLOCK, words + (block % CYCLES_PER_HEADER) * 4,
      words + (block % CYCLES_PER_HEADER) * 4 + 4)
  }
  const found: Operation[] = []
  let at = 0
  while (found.length < operations) {
    if (at + OP_HEADER > bodyBytes) return undefined
    const length = body.readUInt32BE(at + 4)
    const start = at + OP_HEADER
    if (length > bodyBytes - start) return undefined
    found.push({ flags: body.readUInt8(at + 9), data: body.subarray(start, start + length) })
    at = start + length
  }
  return found
}

/** Walks the items of the transactions: each begins with its type and how many regions it has. */
function firstOther(operations: readonly Operation[]): string | undefined {
  let regionsLeft = 0
  for (const { flags, data } of operations) {
    if ((flags & (OP_CONTINUE | OP_WAS_CONTINUED)) !== 0) return 'a change of several records'
    if ((flags & (OP_START | OP_COMMIT)) !== 0 || data.length === 0) continue
    if (regionsLeft > 0) {
      regionsLeft--
      continue
    }
    if (data.length >= 4 && data.readUInt32LE(0) === TRANSACTION_MAGIC) continue
    if (data.length >= 4 && data.readUInt32BE(0) === TRANSACTION_MAGIC) continue
    if (data.length < 16) return 'an item that is too short'
    const type = data.readUInt16LE(0)
    if (type !== ITEM_BUFFER) return `an item of type 0x${type.toString(16)}`
    // struct xfs_buf_log_format: type, size, flags, len (u16 each), blkno (s64), in host order.
    const block = data.readBigInt64LE(8)
    if (block !== 0n || data.readUInt16LE(6) > 8) return `the buffer at block ${block}`
    regionsLeft = data.readUInt16LE(2) - 1
  }
  return undefined
}
