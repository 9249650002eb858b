/** Records of NTFS's master file table, and the streams that they speak of. */

import {
  NTFS_ATTRIBUTES, ntfsAttributes, ntfsRuns, undoFixups,
  type NtfsAttribute, type NtfsExtent, type NtfsGeometry, type NtfsRun,
} from '../probe/ntfs-record.ts'
import { fail } from './image-file.ts'
import { readRuns, type Blocks, type Run } from './runs.ts'

/** A record's number and how often it was used; a count of 0 is any. */
export interface RecordReference {
  readonly number: number
  readonly sequence: number
}

export interface NtfsRecord {
  readonly isFolder: boolean
  /** The record that this one continues; number 0 if none. */
  readonly base: RecordReference
  readonly attributes: readonly NtfsAttribute[]
}

/** A named part of a file: its contents, or a folder's index. */
export interface NtfsStream {
  readonly sizeBytes: number
  /** The bytes from `offset` that lie before the stream's end, at most `length`. */
  read(offset: number, length: number): Promise<Buffer>
}

/** Where an attribute is, or a part of one that is long. */
interface Part {
  readonly type: number
  readonly name: string
  readonly lowestVcn: number
  readonly load: () => Promise<NtfsAttribute>
}

/** In a file's name, of what kind it is: the short one beside a long one is of this. */
export const NAMESPACE_AT = 65
export const NAME_IS_DOS = 2
const FLAG_IN_USE = 1
const FLAG_FOLDER = 2
const FLAG_COMPRESSED = 0x00ff
const FLAG_ENCRYPTED = 0x4000
const EXTENT_ENTRY_BYTES = 26
/** As Windows limits it. */
const MAX_LIST_BYTES = 256 * 1024
/** Of one stream; the table of a server used for years has some thousands. */
const MAX_RUNS = 262_144
/** The table is read that much at once. */
const TABLE_PIECE = 512 * 1024

/** Reads records by number. */
export class NtfsRecords {
  readonly #geometry: NtfsGeometry
  /** Sectors: a record may be smaller than a cluster, and a cluster larger than a read. */
  readonly #blocks: Blocks
  #runs: NtfsRun[] = []
  #sizeBytes = 0
  #initialisedBytes = 0

  private constructor(geometry: NtfsGeometry, blocks: Blocks) {
    this.#geometry = geometry
    this.#blocks = blocks
  }

  /** Follows the table from its first record. Fault: `disk-unreadable`. */
  static async open(geometry: NtfsGeometry, blocks: Blocks): Promise<NtfsRecords> {
    const records = new NtfsRecords(geometry, blocks)
    const { mftOffset, clusterBytes, recordBytes } = geometry
    // Until its own runs are known, the first record is all of the table.
    records.#runs = [{
      vcn: 0, lcn: mftOffset / clusterBytes, clusters: Math.ceil(recordBytes / clusterBytes) }]
    records.#sizeBytes = recordBytes
    const parts = await records.#parts({ number: 0, sequence: 0 }, await records.record(0))
    // A later part of the table's runs may lie in a record that the parts before it lead to.
    const runs: NtfsRun[] = []
    for (const part of streamParts(parts, NTFS_ATTRIBUTES.data, '')) {
      const extent = extentOf(await part.load())
      runs.push(...runsOf(extent, endOf(runs)))
      if (runs.length > MAX_RUNS) fail('its master file table is in too many pieces')
      if (extent.lowestVcn === 0) {
        records.#sizeBytes = extent.sizeBytes
        records.#initialisedBytes = extent.initialisedBytes
      }
      records.#runs = runs
    }
    if (endOf(runs) * clusterBytes < records.#sizeBytes) fail('its master file table is cut')
    return records
  }

  /** In use, its fix-ups undone. Fault: `disk-unreadable`. */
  async record(number: number, sequence = 0): Promise<NtfsRecord> {
    const { recordBytes } = this.#geometry
    const bytes = await this.#read(number * recordBytes, recordBytes)
    if (bytes.length < recordBytes) fail(`it has no record ${number}`)
    if (bytes.toString('latin1', 0, 4) !== 'FILE') fail(`record ${number} is none`)
    if (!undoFixups(bytes)) fail(`record ${number} is torn`)
    const isOther = sequence !== 0 && sequence !== bytes.readUInt16LE(16)
    if (!isInUse(bytes) || isOther) fail(`record ${number} is not in use any more`)
    return parseRecord(bytes) ?? fail(`an attribute of record ${number} is damaged`)
  }

  /** Clusters that the table lies in. */
  get tableClusters(): number {
    return endOf(this.#runs)
  }

  /**
   * Every record in use, in the table's order: also those that lie where it has room and says that
   * nothing was written. Fault: `disk-unreadable` if one cannot be understood that it speaks of.
   */
  async * inUse(): AsyncGenerator<NtfsRecord & { readonly number: number }> {
    const { recordBytes, clusterBytes, sectorBytes } = this.#geometry
    if (this.#runs.some(({ lcn }) => lcn === undefined)) fail('its master file table has holes')
    const sizeBytes = this.tableClusters * clusterBytes
    const length = Math.floor(TABLE_PIECE / recordBytes) * recordBytes
    for (let offset = 0; offset < sizeBytes; offset += length) {
      const piece = await readRuns(
        async (sector) => sectorRun(this.#runs, sector, clusterBytes / sectorBytes),
        { sizeBytes, offset, length }, this.#blocks)
      for (let at = 0; at + recordBytes <= piece.length; at += recordBytes) {
        const bytes = piece.subarray(at, at + recordBytes)
        const number = (offset + at) / recordBytes
        if (bytes.readUInt32LE(0) === 0) continue // never written
        const isRecord = bytes.toString('latin1', 0, 4) === 'FILE'
        if (isRecord && !isInUse(bytes)) continue
        const record = isRecord && undoFixups(bytes) ? parseRecord(bytes) : undefined
        if (record !== undefined) yield { ...record, number }
        else if (offset + at < this.#initialisedBytes) fail(`record ${number} is damaged`)
      }
    }
  }

  /** Where the contents of a file lie; none if in its record. Fault: `disk-unreadable`. */
  async contentRuns(reference: RecordReference): Promise<readonly NtfsRun[]> {
    const record = await this.record(reference.number, reference.sequence)
    const runs: NtfsRun[] = []
    const parts = await this.#parts(reference, record)
    for (const part of streamParts(parts, NTFS_ATTRIBUTES.data, '')) {
      const { place } = await part.load()
      if ('value' in place) continue
      runs.push(...runsOf(place.extent, endOf(runs)))
      if (runs.length > MAX_RUNS) fail('a file is in too many pieces')
    }
    return runs
  }

  /** How many names a file has; a short one beside a long one is none. Fault: `disk-unreadable`. */
  async nameCount(reference: RecordReference): Promise<number> {
    const record = await this.record(reference.number, reference.sequence)
    let count = 0
    for (const part of await this.#parts(reference, record)) {
      if (part.type !== NTFS_ATTRIBUTES.fileName) continue
      const { place } = await part.load()
      if (!('value' in place) || place.value[NAMESPACE_AT] !== NAME_IS_DOS) count += 1
    }
    return count
  }

  /** Opens the streams of one file, by type and name; undefined: it has none such. */
  async streamsOf(reference: RecordReference, record: NtfsRecord): Promise<
    (type: number, name: string) => Promise<NtfsStream | undefined>> {
    const parts = await this.#parts(reference, record)
    return async (type, name) => {
      const found = streamParts(parts, type, name)
      const attribute = await found[0]?.load()
      return attribute && this.#stream(attribute, found)
    }
  }

  #read(offset: number, length: number): Promise<Buffer> {
    const { clusterBytes, sectorBytes } = this.#geometry
    const perCluster = clusterBytes / sectorBytes
    return readRuns(
      async (sector) => sectorRun(this.#runs, sector, perCluster),
      { sizeBytes: this.#sizeBytes, offset, length }, this.#blocks)
  }

  /** Of a file with many attributes a list says which record holds which. */
  async #parts(own: RecordReference, record: NtfsRecord): Promise<readonly Part[]> {
    const list = record.attributes.find(({ type }) => type === NTFS_ATTRIBUTES.attributeList)
    if (list === undefined) {
      return record.attributes.map((attribute) => ({
        type: attribute.type, name: attribute.name,
        lowestVcn: 'extent' in attribute.place ? attribute.place.extent.lowestVcn : 0,
        load: async () => attribute }))
    }
    const stream = this.#stream(list, [])
    if (stream.sizeBytes > MAX_LIST_BYTES) fail('a list of attributes is too long')
    const parts: Part[] = []
    for (const entry of listEntries(await stream.read(0, MAX_LIST_BYTES))) {
      const load = async (): Promise<NtfsAttribute> => {
        const isOwn = entry.where.number === own.number
        const held = isOwn ? record : await this.record(entry.where.number, entry.where.sequence)
        if (!isOwn && held.base.number !== own.number) {
          fail(`record ${entry.where.number} belongs to another file`)
        }
        return held.attributes.find(({ type, id }) => type === entry.type && id === entry.id) ??
          fail('a list of attributes names one that is not there')
      }
      parts.push({ ...entry, load })
    }
    return parts
  }

  #stream(first: NtfsAttribute, parts: readonly Part[]): NtfsStream {
    if ('value' in first.place) {
      const { value } = first.place
      return {
        sizeBytes: value.length,
        read: async (offset, length) =>
          Buffer.from(value.subarray(Math.min(offset, value.length), offset + length)),
      }
    }
    const { extent } = first.place
    if (extent.lowestVcn !== 0) fail('the beginning of something in it is missing')
    return {
      sizeBytes: extent.sizeBytes,
      read: (offset, length) => {
        if ((first.flags & FLAG_ENCRYPTED) !== 0) fail('a file in it is encrypted')
        if ((first.flags & FLAG_COMPRESSED) !== 0) fail('a file in it is compressed')
        return this.#readExtents(extent, parts, offset, length)
      },
    }
  }

  async #readExtents(
    first: NtfsExtent, parts: readonly Part[], offset: number, length: number): Promise<Buffer> {
    const { clusterBytes, sectorBytes } = this.#geometry
    const perCluster = clusterBytes / sectorBytes
    const { sizeBytes, initialisedBytes } = first
    let [runs, from, end] = [runsOf(first), 0, parts[1]?.lowestVcn ?? Infinity]
    checkEnd(runs, end)
    const find = async (sector: number): Promise<Run> => {
      const vcn = Math.floor(sector / perCluster)
      if (vcn < from || vcn >= end) {
        const index = parts.findLastIndex(({ lowestVcn }) => lowestVcn <= vcn)
        const extent = extentOf(await parts[index]?.load() ?? fail('a piece of a file is missing'));
        [from, end] = [extent.lowestVcn, parts[index + 1]?.lowestVcn ?? Infinity]
        runs = runsOf(extent, parts[index]?.lowestVcn)
        checkEnd(runs, end)
      }
      return sectorRun(runs, sector, perCluster)
    }
    const wanted = Math.max(0, Math.min(length, sizeBytes - offset))
    const bytes = await readRuns(
      find, { sizeBytes: initialisedBytes, offset, length: wanted }, this.#blocks)
    return bytes.length === wanted ? bytes : Buffer.concat([bytes], wanted)
  }
}

function isInUse(bytes: Buffer): boolean {
  return (bytes.readUInt16LE(22) & FLAG_IN_USE) !== 0
}

/** Its fix-ups undone; undefined if an attribute is damaged. */
function parseRecord(bytes: Buffer): NtfsRecord | undefined {
  const attributes = ntfsAttributes(bytes)
  return attributes && {
    isFolder: (bytes.readUInt16LE(22) & FLAG_FOLDER) !== 0, base: referenceAt(bytes, 32),
    attributes }
}

/** "MFT reference": 48 bits of number, of which Windows uses 32, and 16 of sequence. */
export function referenceAt(bytes: Buffer, at: number): RecordReference {
  return { number: bytes.readUIntLE(at, 6), sequence: bytes.readUInt16LE(at + 6) }
}

function streamParts(parts: readonly Part[], type: number, name: string): readonly Part[] {
  return parts.filter((part) => part.type === type && part.name === name)
    .toSorted((a, b) => a.lowestVcn - b.lowestVcn)
}

interface ListEntry {
  readonly type: number
  readonly name: string
  readonly lowestVcn: number
  readonly where: RecordReference
  readonly id: number
}

/** "Attribute list entries". */
function listEntries(list: Buffer): readonly ListEntry[] {
  const entries: ListEntry[] = []
  for (let at = 0; at + EXTENT_ENTRY_BYTES <= list.length;) {
    const length = list.readUInt16LE(at + 4)
    const nameAt = at + list.readUInt8(at + 7)
    const nameEnd = nameAt + 2 * list.readUInt8(at + 6)
    if (length < EXTENT_ENTRY_BYTES || at + length > list.length || nameEnd > list.length) {
      fail('a list of attributes is damaged')
    }
    entries.push({
      type: list.readUInt32LE(at), name: list.toString('utf16le', nameAt, nameEnd),
      lowestVcn: Number(list.readBigUInt64LE(at + 8)), where: referenceAt(list, at + 16),
      id: list.readUInt16LE(at + 24) })
    at += length
  }
  return entries
}

function extentOf({ place }: NtfsAttribute): NtfsExtent {
  return 'extent' in place ? place.extent : fail('a piece of a file is not where it should be')
}

/** Of an extent that must begin at cluster `lowestVcn` of its stream. */
function runsOf(extent: NtfsExtent, lowestVcn = 0): readonly NtfsRun[] {
  if (extent.lowestVcn !== lowestVcn) fail('a piece of a file is missing')
  return ntfsRuns(extent) ?? fail('the runs of a file are damaged')
}

function endOf(runs: readonly NtfsRun[]): number {
  const last = runs.at(-1)
  return last === undefined ? 0 : last.vcn + last.clusters
}

/** What the list says comes next must come next. */
function checkEnd(runs: readonly NtfsRun[], end: number): void {
  if (end !== Infinity && endOf(runs) !== end) fail('a piece of a file is missing')
}

/** The run that `sector` of the stream lies in, from there on. */
function sectorRun(runs: readonly NtfsRun[], sector: number, perCluster: number): Run {
  const vcn = Math.floor(sector / perCluster)
  let [low, high] = [0, runs.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((runs[middle]?.vcn ?? Infinity) <= vcn) low = middle + 1
    else high = middle
  }
  const run = runs[low - 1]
  const within = sector - (run?.vcn ?? 0) * perCluster
  if (run === undefined || within >= run.clusters * perCluster) fail('a file ends early')
  return {
    physical: run.lcn === undefined ? undefined : run.lcn * perCluster + within,
    blocks: run.clusters * perCluster - within }
}
