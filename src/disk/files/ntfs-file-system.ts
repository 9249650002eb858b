/**
 * Files out of an NTFS without mounting it (layouts as in ntfs-3g's layout.h). Its log is not
 * replayed: `log` says whether there is something in it. Alternate streams are not read.
 */

import { ntfsLogState, type NtfsLogState } from '../probe/ntfs.ts'
import { NTFS_ATTRIBUTES, ntfsGeometry, type NtfsGeometry } from '../probe/ntfs-record.ts'
import type { Range } from '../extents.ts'
import type { Window } from '../probe/window.ts'
import { fail, readWindow, type FileTree, type FolderEntry, type Inode } from './image-file.ts'
import { readFolder, type FolderIndex } from './ntfs-folder.ts'
import { parseReparsePoint } from './ntfs-links.ts'
import { NtfsRecords, type NtfsStream, type RecordReference } from './ntfs-records.ts'

const BITMAP_RECORD = 6
const ROOT_RECORD = 5
const UPCASE_RECORD = 10
const UPCASE_BYTES = 2 * 65_536
const BOOT_BYTES = 512
const FOLDER_INDEX = '$I30'
const MAX_REPARSE_BYTES = 16 * 1024
/** An inode's number is that of its record and, above that, how often the record was used. */
const SEQUENCE_UNIT = 2 ** 32
const MAX_NUMBER = 2 ** 48
const BITMAP_PIECE = 64 * 1024

export interface NtfsInode extends Inode {
  readonly index: FolderIndex | undefined
}

export class NtfsFileSystem implements FileTree {
  readonly root = ROOT_RECORD
  /** Whether the log holds what has to be put in its place first, which is not done here. */
  readonly log: NtfsLogState
  readonly clusterBytes: number
  readonly recordBytes: number
  readonly clusters: number
  readonly records: NtfsRecords
  readonly #upcase: Buffer

  private constructor(
    geometry: NtfsGeometry, log: NtfsLogState, records: NtfsRecords, upcase: Buffer) {
    this.log = log
    this.clusterBytes = geometry.clusterBytes
    this.recordBytes = geometry.recordBytes
    this.clusters = Math.floor(geometry.sectors * geometry.sectorBytes / geometry.clusterBytes)
    this.records = records
    this.#upcase = upcase
  }

  /**
   * Reads where its records lie, and which letters are alike to it. Nothing outside of `window` is
   * read. Fault: `disk-unreadable` if it is none, is damaged or has what is not read here.
   */
  static async open(window: Window): Promise<NtfsFileSystem> {
    const geometry = ntfsGeometry(await readWindow(window, 0, BOOT_BYTES)) ??
      fail('it has no boot sector of NTFS that makes sense')
    const { sectorBytes, sectors } = geometry
    const records = await NtfsRecords.open(geometry, {
      blockBytes: sectorBytes,
      read: (block, count) => block + count > sectors
        ? fail(`it points at sector ${block}, which it does not have`)
        : readWindow(window, block * sectorBytes, count * sectorBytes),
    })
    const upcase = await (await unnamedData(records, UPCASE_RECORD)).read(0, UPCASE_BYTES)
    if (upcase.length !== UPCASE_BYTES) fail('its table of letters is cut')
    return new NtfsFileSystem(geometry, await ntfsLogState(window, geometry), records, upcase)
  }

  /** Fault: `disk-unreadable`. */
  async inode(number: number): Promise<NtfsInode> {
    const reference = recordOf(number)
    const record = await this.records.record(reference.number, reference.sequence)
    if (record.base.number !== 0) fail(`record ${reference.number} is a part of another file`)
    const open = await this.records.streamsOf(reference, record)
    const root = record.isFolder
      ? await open(NTFS_ATTRIBUTES.indexRoot, FOLDER_INDEX) : undefined
    const reparsed = await readReparsePoint(await open(NTFS_ATTRIBUTES.reparsePoint, ''))
    const target = reparsed !== undefined && 'target' in reparsed ? reparsed.target : undefined
    const keptAs = reparsed !== undefined && 'keptAs' in reparsed ? reparsed.keptAs : undefined
    const data = record.isFolder ? undefined : await open(NTFS_ATTRIBUTES.data, '')
    return {
      kind: target !== undefined ? 'link' : record.isFolder ? 'folder' : 'file',
      sizeBytes: data?.sizeBytes ?? 0,
      inlineTarget: target,
      index: root && {
        root, blocks: await open(NTFS_ATTRIBUTES.indexAllocation, FOLDER_INDEX),
        used: await open(NTFS_ATTRIBUTES.bitmap, FOLDER_INDEX) },
      read: async (offset, length) => {
        if (record.isFolder || target !== undefined) fail('something without contents is read')
        if (keptAs !== undefined) fail(`a file in it is ${keptAs}`)
        return await data?.read(offset, length) ?? Buffer.alloc(0)
      },
    }
  }

  /** What the folder holds, without its short names. Fault: `disk-unreadable`. */
  async list(folder: NtfsInode): Promise<readonly FolderEntry[]> {
    if (folder.kind !== 'folder' || folder.index === undefined) {
      fail('what should be a folder is none')
    }
    return readFolder(folder.index, ({ number, sequence }) =>
      number < SEQUENCE_UNIT ? number + sequence * SEQUENCE_UNIT
        : fail(`it has no record ${number}`))
  }

  /** Names that come out the same are one name, by the volume's own table of letters. */
  fold(name: string): string {
    const units = Buffer.from(name, 'utf16le')
    for (let at = 0; at < units.length; at += 2) {
      units.writeUInt16LE(this.#upcase.readUInt16LE(2 * units.readUInt16LE(at)), at)
    }
    return units.toString('utf16le')
  }

  /** The contents of $Bitmap, a bit a cluster at least. Fault: `disk-unreadable`. */
  async clusterBitmap(): Promise<NtfsStream> {
    const bitmap = await unnamedData(this.records, BITMAP_RECORD)
    if (bitmap.sizeBytes * 8 < this.clusters) fail('its map of used clusters is cut')
    return bitmap
  }

  /** The bytes of the volume whose clusters are in use ($Bitmap), in order, none touching. */
  async * used(): AsyncGenerator<Range> {
    const bitmap = await this.clusterBitmap()
    let from: number | undefined
    for (let at = 0; at * 8 < this.clusters; at += BITMAP_PIECE) {
      const piece = await bitmap.read(at, BITMAP_PIECE)
      const end = Math.min(piece.length * 8, this.clusters - at * 8)
      for (let bit = 0; bit < end; bit++) {
        const isUsed = ((piece[bit >> 3] ?? 0) >> (bit & 7) & 1) === 1
        if (isUsed === (from !== undefined)) continue
        const cluster = at * 8 + bit
        if (from !== undefined) yield this.#range(from, cluster)
        from = isUsed ? cluster : undefined
      }
    }
    if (from !== undefined) yield this.#range(from, this.clusters)
  }

  #range(from: number, end: number): Range {
    return { offset: from * this.clusterBytes, length: (end - from) * this.clusterBytes }
  }
}

/** The record that an inode's number means. Fault: `disk-unreadable`. */
export function recordOf(number: number): RecordReference {
  if (!Number.isSafeInteger(number) || number < 0 || number >= MAX_NUMBER) {
    fail(`it has no record ${number}`)
  }
  return { number: number % SEQUENCE_UNIT, sequence: Math.floor(number / SEQUENCE_UNIT) }
}

async function readReparsePoint(
  stream: NtfsStream | undefined): Promise<ReturnType<typeof parseReparsePoint> | undefined> {
  if (stream === undefined) return undefined
  if (stream.sizeBytes > MAX_REPARSE_BYTES) fail('a reparse point is damaged')
  return parseReparsePoint(await stream.read(0, MAX_REPARSE_BYTES))
}

export async function unnamedData(records: NtfsRecords, number: number): Promise<NtfsStream> {
  const reference: RecordReference = { number, sequence: 0 }
  const open = await records.streamsOf(reference, await records.record(number))
  return await open(NTFS_ATTRIBUTES.data, '') ?? fail(`record ${number} has no contents`)
}
