/**
 * Reads a Windows event log (`.evtx`) chunk by chunk. The file header is not believed: Windows
 * writes it late, and in a log out of a snapshot the chunks that it does not know of yet are those
 * of the snapshot's own time. Every chunk that is there is read, and checksums are not asked for,
 * because those of the chunk that was being written are wrong just then.
 */

import { throwIfAborted } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { fileTimeMs } from './binary-values.ts'
import { readBinaryXml } from './binary-xml.ts'
import { Budget, ChunkCursor, damaged } from './chunk-cursor.ts'
import { eventOf, hasTime } from './event-of.ts'
import { isInTime, isWanted, type EventQuery, type EventRecord } from './event-record.ts'

/** A log's bytes: a file, or a file inside a captured disk. */
export interface LogBytes {
  readonly sizeBytes: number
  /** What lies from `offset` before its end, at most `length` bytes. */
  read(offset: number, length: number): Promise<Buffer>
}

export interface EventLogReading {
  /** What the query asked for, by record number. */
  readonly events: readonly EventRecord[]
  /** There were more than are kept; those that are, are the newest. */
  readonly hasMore: boolean
  /** All records that were found, wanted or not. */
  readonly records: number
  /** Records among them that cannot be understood. */
  readonly damaged: number
  /** Chunks with records, and how many the file header knew of. */
  readonly chunks: number
  readonly headerChunks: number
  /** Of all records that have a time; undefined where there is none. */
  readonly oldestAtMs: number | undefined
  readonly newestAtMs: number | undefined
  /** The lowest and the highest number of all records. */
  readonly firstId: number | undefined
  readonly lastId: number | undefined
}

const FILE_HEADER_BYTES = 4096
const CHUNK_BYTES = 65_536
const CHUNK_HEADER_BYTES = 512
const RECORD_HEADER_BYTES = 24
const RECORD_MAGIC = 0x0000_2a2a
/** Windows' own default is 20 MiB; four minutes of reading at most. */
const MAX_LOG_BYTES = 1024 ** 3
/** What a reading keeps at most: about 30 MB of common events. */
const MAX_EVENTS = 20_000
const MAX_CHARACTERS = 16 * 1024 * 1024

/**
 * What `query` asks for. Memory: one chunk, and the events that are returned. Faults:
 * `disk-unreadable` if it is no event log or is too large; those of `log.read`; the signal's.
 */
export async function readEventLog(
  log: LogBytes, query: EventQuery, signal: AbortSignal): Promise<EventLogReading> {
  const headerChunks = await readHeader(log)
  const kept = new KeptEvents()
  const all = { records: 0, damaged: 0, chunks: 0 }
  const times = new Span()
  const ids = new Span()
  for (let offset = FILE_HEADER_BYTES; offset < log.sizeBytes; offset += CHUNK_BYTES) {
    throwIfAborted(signal)
    const chunk = await log.read(offset, CHUNK_BYTES)
    if (chunk.length <= CHUNK_HEADER_BYTES || chunk.toString('latin1', 0, 8) !== 'ElfChnk\0') {
      continue
    }
    all.chunks++
    const budget = new Budget()
    for (const record of recordsOf(chunk)) {
      all.records++
      ids.add(record.recordId)
      if (hasTime(record.atMs)) {
        times.add(record.atMs)
        if (!isInTime(query, record.atMs)) continue
      }
      const event = eventFrom(chunk, budget, record)
      if (event === undefined) all.damaged++
      else if (isWanted(query, event)) kept.add(event)
    }
  }
  return {
    ...all, headerChunks, events: kept.inOrder(), hasMore: kept.hasMore,
    oldestAtMs: times.least, newestAtMs: times.most, firstId: ids.least, lastId: ids.most,
  }
}

class Span {
  least: number | undefined
  most: number | undefined

  add(value: number): void {
    this.least = Math.min(this.least ?? value, value)
    this.most = Math.max(this.most ?? value, value)
  }
}

/** How many chunks it says there are. Fault: `disk-unreadable`. */
async function readHeader(log: LogBytes): Promise<number> {
  if (log.sizeBytes > MAX_LOG_BYTES) damaged(`it has ${log.sizeBytes} bytes`)
  const header = await log.read(0, 128)
  if (header.length < 128 || header.toString('latin1', 0, 8) !== 'ElfFile\0') {
    damaged('it does not begin as one')
  }
  return header.readUInt16LE(42)
}

/** The newest events of those added, as far as the limits let them be kept. */
class KeptEvents {
  hasMore = false
  #events: EventRecord[] = []
  #characters = 0

  add(event: EventRecord): void {
    this.#events.push(event)
    this.#characters += charactersOf(event)
    if (this.#events.length <= MAX_EVENTS && this.#characters <= MAX_CHARACTERS) return
    this.hasMore = true
    // A quarter at once, so that this is not done for each.
    const inOrder = this.inOrder()
    this.#events = inOrder.slice(Math.ceil(inOrder.length / 4))
    this.#characters = this.#events.reduce((sum, it) => sum + charactersOf(it), 0)
  }

  inOrder(): readonly EventRecord[] {
    return this.#events.toSorted((a, b) => a.recordId - b.recordId)
  }
}

function charactersOf({ source, sourceAlias = '', channel, computer, data }: EventRecord): number {
  const own = source.length + sourceAlias.length + channel.length + computer.length
  return data.reduce((sum, { name = '', value }) => sum + name.length + value.length, own)
}

interface RecordPlace extends Pick<EventRecord, 'recordId' | 'atMs'> {
  readonly at: number
  readonly length: number
}

/**
 * The records of a chunk. Up to where its header says that it is filled, and further while they
 * count on: the header of a chunk that was being written is behind them.
 */
function* recordsOf(chunk: Buffer): Generator<RecordPlace> {
  const filled = chunk.readUInt32LE(48)
  let last: number | undefined
  for (let at = CHUNK_HEADER_BYTES; at + RECORD_HEADER_BYTES <= chunk.length;) {
    const length = chunk.readUInt32LE(at + 4)
    if (chunk.readUInt32LE(at) !== RECORD_MAGIC || length < RECORD_HEADER_BYTES + 4 ||
      length > chunk.length - at || chunk.readUInt32LE(at + length - 4) !== length) return
    const recordId = Number(chunk.readBigUInt64LE(at + 8))
    if (at >= filled && last !== undefined && recordId !== last + 1) return
    yield { at, length, recordId, atMs: fileTimeMs(chunk.readBigUInt64LE(at + 16)) }
    last = recordId
    at += length
  }
}

/**
 * Undefined where it is damaged: what other records say is not less true for it. Fault:
 * `disk-unreadable` where it is made to be read without end.
 */
function eventFrom(chunk: Buffer, budget: Budget, place: RecordPlace): EventRecord | undefined {
  const { at, length, recordId, atMs } = place
  try {
    const cursor = new ChunkCursor(chunk, budget, at + RECORD_HEADER_BYTES, at + length - 4)
    return eventOf(readBinaryXml(cursor), { recordId, atMs })
  } catch (error) {
    if (isFault(error, 'disk-unreadable') && !budget.isSpent) return undefined
    throw error
  }
}
