/**
 * The log of a VHDX, replayed in memory (MS-VHDX 2.3): what its active sequence holds is laid over
 * the file, which is not changed. A log that is announced and has no whole sequence is damage.
 */

import { checkInside, type BlockSource } from '../block-source.ts'
import { guidText } from '../probe/text.ts'
import { endOf, type Range } from '../extents.ts'
import { failVhdx, hasChecksum, number64, readFile, type VhdxHeader } from './vhdx-file.ts'

const SECTOR = 4096
/** Hyper-V makes logs of 1 MiB. */
const MAX_LOG_BYTES = 32 * 2 ** 20
/** What is summed up to find the entries: a log that makes it more is made for that. */
const MAX_SUMMED = 4
const ENTRY_HEAD_BYTES = 64
const DESCRIPTOR_BYTES = 32
const MAX_ZERO_RANGES = 4096

interface Entry {
  readonly at: number
  readonly bytes: Buffer
  readonly sequence: bigint
  readonly tail: number
  readonly descriptors: number
  readonly flushedBytes: number
  readonly lastBytes: number
}

/** The file as it is once its log was replayed. Fault: `disk-unreadable`. */
export async function replayLog(
  file: BlockSource, header: VhdxHeader, signal: AbortSignal): Promise<BlockSource> {
  const { logGuid, logOffset, logBytes } = header
  if (logGuid === undefined) return file
  if (logBytes > MAX_LOG_BYTES) failVhdx(file.name, `its log has ${logBytes} bytes`)
  const log = await readFile(file, logOffset, logBytes, signal)
  const entries = activeSequence(new LogReader(file, log, logGuid))
  const last = entries.at(-1)
  if (last === undefined) failVhdx(file.name, 'its log is damaged: nothing in it can be replayed')
  const sizeBytes = Math.max(file.sizeBytes, last.lastBytes)
  if (!Number.isSafeInteger(sizeBytes) || last.flushedBytes > file.sizeBytes) {
    failVhdx(file.name, 'it was cut: its log speaks of more than there is')
  }
  return new ReplayedFile(file, sizeBytes, new Overlay(file, entries))
}

/** Entries by where they begin; what the log is full of besides are not. */
class LogReader {
  readonly log: Buffer
  readonly #file: BlockSource
  readonly #logGuid: string
  readonly #known = new Map<number, Entry | undefined>()
  #summedBytes = 0

  constructor(file: BlockSource, log: Buffer, logGuid: string) {
    this.#file = file
    this.log = log
    this.#logGuid = logGuid
  }

  entryAt(at: number): Entry | undefined {
    if (!this.#known.has(at)) this.#known.set(at, this.#parse(at))
    return this.#known.get(at)
  }

  #parse(at: number): Entry | undefined {
    const head = this.log.subarray(at, at + SECTOR)
    if (head.toString('latin1', 0, 4) !== 'loge') return undefined
    const [length, tail, descriptors] =
      [head.readUInt32LE(8), head.readUInt32LE(12), head.readUInt32LE(24)]
    const isPlausible = length >= SECTOR && length % SECTOR === 0 && length <= this.log.length &&
      tail % SECTOR === 0 && tail < this.log.length && head.readBigUInt64LE(16) > 0n &&
      ENTRY_HEAD_BYTES + descriptors * DESCRIPTOR_BYTES <= length
    if (!isPlausible || guidText(head.subarray(32, 48)) !== this.#logGuid) return undefined
    this.#summedBytes += length
    if (this.#summedBytes > MAX_SUMMED * this.log.length) {
      failVhdx(this.#file.name, 'its log makes no sense')
    }
    const end = at + length
    const bytes = Buffer.concat([
      this.log.subarray(at, end), this.log.subarray(0, Math.max(0, end - this.log.length))])
    return hasChecksum(bytes) && hasItsSectors(bytes, descriptors) ? {
      at, bytes, tail, descriptors, sequence: head.readBigUInt64LE(16),
      flushedBytes: number64(head, 48), lastBytes: number64(head, 56),
    } : undefined
  }
}

/** Whether each descriptor and each sector of data says the entry's own number. */
function hasItsSectors(bytes: Buffer, descriptors: number): boolean {
  const sequence = bytes.readBigUInt64LE(16)
  let sector = dataAt(descriptors)
  for (let n = 0; n < descriptors; n++) {
    const at = ENTRY_HEAD_BYTES + n * DESCRIPTOR_BYTES
    if (bytes.readBigUInt64LE(at + 24) !== sequence) return false
    const kind = bytes.toString('latin1', at, at + 4)
    if (bytes.readBigUInt64LE(at + 16) % BigInt(SECTOR) !== 0n) return false
    if (kind === 'zero') continue
    const isWhole = kind === 'desc' && sector + SECTOR <= bytes.length &&
      bytes.toString('latin1', sector, sector + 4) === 'data' &&
      bytes.readUInt32LE(sector + 4) === Number(sequence >> 32n) &&
      bytes.readUInt32LE(sector + SECTOR - 4) === Number(sequence & 0xffff_ffffn)
    if (!isWhole) return false
    sector += SECTOR
  }
  return true
}

/** Where in an entry its sectors of data begin. */
function dataAt(descriptors: number): number {
  return Math.ceil((ENTRY_HEAD_BYTES + descriptors * DESCRIPTOR_BYTES) / SECTOR) * SECTOR
}

/** "Log Sequence": the newest run of entries that has its own tail in it, from that on. */
function activeSequence(reader: LogReader): readonly Entry[] {
  const logBytes = reader.log.length
  let active: readonly Entry[] = []
  for (let tail = 0; tail < logBytes;) {
    const sequence: Entry[] = []
    let [at, length] = [tail, 0]
    for (let entry = reader.entryAt(at); entry !== undefined; entry = reader.entryAt(at)) {
      const before = sequence.at(-1)
      const isNext = before === undefined || entry.sequence === before.sequence + 1n
      if (!isNext || length + entry.bytes.length > logBytes) break
      sequence.push(entry)
      length += entry.bytes.length
      at = (at + entry.bytes.length) % logBytes
    }
    const head = sequence.at(-1)
    const first = sequence.findIndex((entry) => entry.at === head?.tail)
    if (head === undefined || first < 0) tail += SECTOR
    else {
      if (head.sequence > (active.at(-1)?.sequence ?? 0n)) active = sequence.slice(first)
      tail += length
    }
  }
  return active
}

/** What the entries put in place, the newest of each sector; of one entry none is put twice. */
class Overlay {
  readonly sectors = new Map<number, Buffer>()
  readonly zeros: Range[] = []

  constructor(file: BlockSource, entries: readonly Entry[]) {
    for (const { bytes, descriptors } of entries.toReversed()) {
      let sector = dataAt(descriptors)
      for (let n = 0; n < descriptors; n++) {
        const at = ENTRY_HEAD_BYTES + n * DESCRIPTOR_BYTES
        if (bytes.toString('latin1', at, at + 4) === 'zero') this.#zero(file, bytes, at)
        else {
          this.#put(bytes, at, sector)
          sector += SECTOR
        }
      }
    }
  }

  #zero(file: BlockSource, bytes: Buffer, at: number): void {
    this.zeros.push({ offset: number64(bytes, at + 16), length: number64(bytes, at + 8) })
    if (this.zeros.length > MAX_ZERO_RANGES) failVhdx(file.name, 'its log makes no sense')
  }

  /** What is newer was put before. */
  #put(bytes: Buffer, at: number, sector: number): void {
    const offset = number64(bytes, at + 16)
    const isOver = this.sectors.has(offset) ||
      this.zeros.some((zero) => zero.offset <= offset && offset < endOf(zero))
    if (isOver) return
    this.sectors.set(offset, Buffer.concat([
      bytes.subarray(at + 8, at + 16), bytes.subarray(sector + 8, sector + SECTOR - 4),
      bytes.subarray(at + 4, at + 8)]))
  }
}

class ReplayedFile implements BlockSource {
  readonly name: string
  readonly sizeBytes: number
  readonly #file: BlockSource
  readonly #overlay: Overlay

  constructor(file: BlockSource, sizeBytes: number, overlay: Overlay) {
    this.name = file.name
    this.sizeBytes = sizeBytes
    this.#file = file
    this.#overlay = overlay
  }

  async read(
    offset: number, length: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    const there = Math.max(0, Math.min(length, this.#file.sizeBytes - offset))
    const old = await this.#file.read(Math.min(offset, this.#file.sizeBytes), there, signal)
    const bytes = new Uint8Array(length)
    bytes.set(old)
    for (const zero of this.#overlay.zeros) {
      const from = Math.max(offset, zero.offset)
      const end = Math.min(offset + length, endOf(zero))
      if (from < end) bytes.fill(0, from - offset, end - offset)
    }
    for (let at = offset - offset % SECTOR; at < offset + length; at += SECTOR) {
      const sector = this.#overlay.sectors.get(at)
      if (sector === undefined) continue
      const from = Math.max(offset, at)
      bytes.set(sector.subarray(from - at, Math.min(SECTOR, offset + length - at)), from - offset)
    }
    return bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]()
  }
}
