/**
 * Writes Windows event logs as Windows does: records by templates, names and templates kept once a
 * chunk, all checksums right. For events of which there is no sample, and for logs whose header is
 * behind. Held against the reader and against evtxexport of libevtx.
 */

import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'

export interface WrittenEvent {
  readonly atMs: number
  readonly source: string
  readonly id: number
  /** Default: one more than the event before. */
  readonly recordId?: number
  readonly qualifiers?: number
  readonly level?: number
  readonly channel?: string
  readonly computer?: string
  /** Strings without names, as of old providers, or all with names. */
  readonly data?: readonly string[] | Readonly<Record<string, string>>
}

export interface WrittenLog {
  /** How many chunks the header says there are, and that it is behind. Default: all, and not. */
  readonly headerChunks?: number
}

const CHUNK_BYTES = 65_536
const CHUNK_HEADER_BYTES = 512
const EPOCH_MS = 11_644_473_600_000
/** A record without its data, its template with it. */
const MOST_FIXED_BYTES = 3000
const NAMESPACE = 'http://schemas.microsoft.com/win/2004/08/events/event'

const TYPE = { string: 1, u8: 4, u16: 6, u64: 0x0a, fileTime: 0x11, strings: 0x81 } as const

export function eventLogBytes(
  events: readonly WrittenEvent[], { headerChunks }: WrittenLog = {}): Buffer {
  const chunks: ChunkWriter[] = [new ChunkWriter(1)]
  let recordId = 0
  for (const [index, event] of events.entries()) {
    recordId = event.recordId ?? recordId + 1
    const bytes = MOST_FIXED_BYTES + 4 * JSON.stringify(event).length
    if (!chunks.at(-1)?.hasRoom(bytes)) chunks.push(new ChunkWriter(index + 1))
    chunks.at(-1)?.add(event, recordId)
  }
  const header = Buffer.alloc(4096)
  header.write('ElfFile\0', 'latin1')
  header.writeBigUInt64LE(BigInt((headerChunks ?? chunks.length) - 1), 16)
  header.writeBigUInt64LE(BigInt(recordId + 1), 24)
  header.writeUInt32LE(128, 32)
  header.writeUInt16LE(1, 36)
  header.writeUInt16LE(3, 38)
  header.writeUInt16LE(4096, 40)
  header.writeUInt16LE(headerChunks ?? chunks.length, 42)
  header.writeUInt32LE(headerChunks === undefined ? 0 : 1, 120)
  header.writeUInt32LE(crc32(header.subarray(0, 120)), 124)
  return Buffer.concat([header, ...chunks.map((chunk) => chunk.close())])
}

interface Value {
  readonly type: number
  readonly bytes: Buffer
}

/** One chunk under way; offsets count from its beginning. */
class ChunkWriter {
  readonly #bytes = Buffer.alloc(CHUNK_BYTES)
  readonly #names = new Map<string, number>()
  readonly #templates = new Map<string, number>()
  readonly #firstNumber: number
  #recordIds: readonly [number, number] | undefined
  #count = 0
  #at = CHUNK_HEADER_BYTES
  #lastRecordAt = CHUNK_HEADER_BYTES

  constructor(firstNumber: number) {
    this.#firstNumber = firstNumber
  }

  hasRoom(bytes: number): boolean {
    return this.#at + bytes <= CHUNK_BYTES
  }

  add(event: WrittenEvent, recordId: number): void {
    const start = this.#at
    const ticks = BigInt(Math.round(event.atMs) + EPOCH_MS) * 10_000n
    this.#u32(0x2a2a)
    this.#u32(0)
    this.#u64(BigInt(recordId))
    this.#u64(ticks)
    this.#put(Buffer.of(0x0f, 1, 1, 0))
    this.#useTemplate(event)
    this.#values(valuesOf(event, recordId, ticks))
    this.#put(Buffer.of(0))
    this.#at += (4 - this.#at % 4) % 4
    const length = this.#at + 4 - start
    this.#u32(length)
    this.#bytes.writeUInt32LE(length, start + 4)
    this.#recordIds = [this.#recordIds?.[0] ?? recordId, recordId]
    this.#count++
    this.#lastRecordAt = start
  }

  close(): Buffer {
    const chunk = this.#bytes
    const [first, last] = this.#recordIds ?? [0, 0]
    chunk.write('ElfChnk\0', 'latin1')
    chunk.writeBigUInt64LE(BigInt(this.#firstNumber), 8)
    chunk.writeBigUInt64LE(BigInt(this.#firstNumber + this.#count - 1), 16)
    chunk.writeBigUInt64LE(BigInt(first), 24)
    chunk.writeBigUInt64LE(BigInt(last), 32)
    chunk.writeUInt32LE(128, 40)
    chunk.writeUInt32LE(this.#lastRecordAt, 44)
    chunk.writeUInt32LE(this.#at, 48)
    chunk.writeUInt32LE(crc32(chunk.subarray(CHUNK_HEADER_BYTES, this.#at)), 52)
    chunk.writeUInt32LE(
      crc32(chunk.subarray(128, CHUNK_HEADER_BYTES), crc32(chunk.subarray(0, 120))), 124)
    return chunk
  }

  /** A template for each set of names, where it is first used. */
  #useTemplate({ data = [] }: WrittenEvent): void {
    const names = Array.isArray(data) ? undefined : Object.keys(data)
    const key = JSON.stringify(names ?? 'strings')
    const id = crc32(key)
    this.#put(Buffer.of(0x0c, 1))
    this.#u32(id)
    const known = this.#templates.get(key)
    if (known !== undefined) return this.#u32(known)
    this.#u32(this.#at + 4)
    const start = this.#at
    this.#templates.set(key, start)
    this.#u32(this.#bucket(384 + 4 * (id % 32), start))
    this.#u32(id)
    this.#put(Buffer.alloc(12, 0x5a))
    this.#u32(0)
    this.#put(Buffer.of(0x0f, 1, 1, 0))
    this.#eventTemplate(names)
    this.#put(Buffer.of(0))
    this.#bytes.writeUInt32LE(this.#at - start - 24, start + 20)
  }

  #eventTemplate(names: readonly string[] | undefined): void {
    const value = (index: number, type: number) => (): void => {
      this.#put(Buffer.of(0x0d, index, 0, type))
    }
    this.#element('Event', { xmlns: () => this.#text(NAMESPACE) }, () => {
      this.#element('System', {}, () => {
        this.#element('Provider', { Name: value(0, TYPE.string) })
        this.#element('EventID', { Qualifiers: value(1, TYPE.u16) }, value(2, TYPE.u16))
        this.#element('Level', {}, value(3, TYPE.u8))
        this.#element('TimeCreated', { SystemTime: value(4, TYPE.fileTime) })
        this.#element('EventRecordID', {}, value(5, TYPE.u64))
        this.#element('Channel', {}, value(6, TYPE.string))
        this.#element('Computer', {}, value(7, TYPE.string))
      })
      this.#element('EventData', {}, () => {
        if (names === undefined) this.#element('Data', {}, value(8, TYPE.strings))
        for (const [index, name] of (names ?? []).entries()) {
          this.#element('Data', { Name: () => this.#text(name) }, value(8 + index, TYPE.string))
        }
      })
    })
  }

  #element(
    name: string, attributes: Readonly<Record<string, () => void>>, content?: () => void): void {
    const entries = Object.entries(attributes)
    this.#put(Buffer.of(entries.length > 0 ? 0x41 : 0x01, 0xff, 0xff))
    this.#sized(() => {
      this.#name(name)
      if (entries.length > 0) {
        this.#sized(() => {
          for (const [index, [key, value]] of entries.entries()) {
            this.#put(Buffer.of(index < entries.length - 1 ? 0x46 : 0x06))
            this.#name(key)
            value()
          }
        })
      }
      if (content === undefined) return this.#put(Buffer.of(0x03))
      this.#put(Buffer.of(0x02))
      content()
      this.#put(Buffer.of(0x04))
    })
  }

  /** What `write` writes, behind its length. */
  #sized(write: () => void): void {
    const at = this.#at
    this.#u32(0)
    write()
    this.#bytes.writeUInt32LE(this.#at - at - 4, at)
  }

  #name(name: string): void {
    const known = this.#names.get(name)
    if (known !== undefined) return this.#u32(known)
    this.#u32(this.#at + 4)
    this.#names.set(name, this.#at)
    let hash = 0
    for (const char of name) hash = (hash * 65_599 + char.charCodeAt(0)) % 65_536
    this.#u32(this.#bucket(128 + 4 * (hash % 64), this.#at))
    this.#u16(hash)
    this.#u16(name.length)
    this.#put(Buffer.from(`${name}\0`, 'utf16le'))
  }

  /** Puts `offset` in front of a list of the chunk's header; what was in front of it before. */
  #bucket(at: number, offset: number): number {
    const before = this.#bytes.readUInt32LE(at)
    this.#bytes.writeUInt32LE(offset, at)
    return before
  }

  #text(text: string): void {
    this.#put(Buffer.of(0x05, 0x01))
    this.#u16(text.length)
    this.#put(Buffer.from(text, 'utf16le'))
  }

  #values(values: readonly Value[]): void {
    this.#u32(values.length)
    for (const { type, bytes } of values) {
      this.#u16(bytes.length)
      this.#put(Buffer.of(type, 0))
    }
    for (const { bytes } of values) this.#put(bytes)
  }

  #u16(value: number): void {
    this.#at = this.#bytes.writeUInt16LE(value, this.#at)
  }

  #u32(value: number): void {
    this.#at = this.#bytes.writeUInt32LE(value, this.#at)
  }

  #u64(value: bigint): void {
    this.#at = this.#bytes.writeBigUInt64LE(value, this.#at)
  }

  #put(bytes: Buffer): void {
    assert.ok(this.#at + bytes.length <= CHUNK_BYTES, 'an event is too large for a chunk')
    this.#at += bytes.copy(this.#bytes, this.#at)
  }
}

function valuesOf(event: WrittenEvent, recordId: number, ticks: bigint): readonly Value[] {
  const {
    source, id, qualifiers = 0, level = 4, channel = 'Application', computer = 'WIN', data = [],
  } = event
  const text = (value: string): Value => ({ type: TYPE.string, bytes: utf16(value) })
  const u64 = (type: number, value: bigint): Value => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(value)
    return { type, bytes }
  }
  const u16 = (value: number): Value => ({
    type: TYPE.u16, bytes: Buffer.of(value & 0xff, value >> 8) })
  return [
    text(source), u16(qualifiers), u16(id), { type: TYPE.u8, bytes: Buffer.of(level) },
    u64(TYPE.fileTime, ticks), u64(TYPE.u64, BigInt(recordId)), text(channel), text(computer),
    ...Array.isArray(data)
      ? [{ type: TYPE.strings, bytes: utf16(data.map((item) => `${item}\0`).join('')) }]
      : Object.values(data).map(text),
  ]
}

function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le')
}
