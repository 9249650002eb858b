/**
 * A sample of InnoDB's pages, held against their own checksums and against the log: what has not
 * reached the log is never written to a page (MariaDB's source, storage/innobase:
 * include/fil0fil.h, include/fsp0types.h for `full_crc32`, include/trx0sys.h).
 */

import { join } from 'node:path/posix'
import { rawCrc32c, type ImageFile } from '../../disk/mod.ts'
import type { GuestFiles } from './guest-files.ts'

/** Each may cost a chunk of half a megabyte. */
const MAX_PAGES = 128
const MAX_FILES = 32
const MAX_FOLDERS = 256

/** FIL_PAGE_OFFSET, FIL_PAGE_LSN, FIL_PAGE_SPACE_ID, and FSP_SPACE_FLAGS of the first page. */
const NUMBER_AT = 4
const LSN_AT = 16
const SPACE_AT = 34
const FLAGS_AT = 54
const FULL_CRC32 = 1 << 4
const COMPRESSED = 7 << 5
/** TRX_SYS_DOUBLEWRITE, on the page TRX_SYS_PAGE_NO of the system tablespace. */
const TRX_SYS_PAGE = 5
const DOUBLEWRITE_AT_END = 200
const DOUBLEWRITE_MAGIC = 536_853_855
const DOUBLEWRITE_BYTES = 1024 * 1024

export interface SampledPages {
  /** Whole, or never written. */
  readonly whole: number
  readonly files: number
  /** What is wrong with one of them; undefined if nothing is. */
  readonly wrong: string | undefined
}

interface TableSpace {
  readonly name: string
  readonly file: ImageFile
  readonly pageBytes: number
}

/** What of the log is there: from where a recovery begins to its end. */
export interface LogRange {
  readonly checkpoint: bigint
  readonly end: bigint
}

/** Faults: as of `GuestFiles`. */
export async function samplePages(
  files: GuestFiles, folders: readonly string[], log: LogRange): Promise<SampledPages> {
  const spaces = await tableSpaces(files, folders)
  const twice = await findDoublewrite(spaces)
  const perFile = Math.max(2, Math.floor(MAX_PAGES / Math.max(1, spaces.length)))
  let whole = 0
  for (const space of spaces) {
    for (const number of spread(Math.floor(space.file.sizeBytes / space.pageBytes), perFile)) {
      if (space === twice?.space && twice.pages.includes(number)) continue
      const page = await readPage(space, number)
      const wrong = page === undefined ? undefined : whatIsWrong(page, number, log)
      if (wrong === undefined) whole++
      else if (wrong === 'torn' && page !== undefined && await isKept(twice, page, log)) whole++
      else {
        const how = wrong === 'torn' ? 'is damaged: its checksum is wrong' : wrong
        return { whole, files: spaces.length, wrong: `page ${number} of ${space.name} ${how}` }
      }
    }
  }
  return { whole, files: spaces.length, wrong: undefined }
}

/** Those whose pages have the checksum of MariaDB 10.5 and newer, and are not compressed. */
async function tableSpaces(
  files: GuestFiles, folders: readonly string[]): Promise<readonly TableSpace[]> {
  const found: TableSpace[] = []
  const add = async (folder: string, name: string): Promise<void> => {
    const file = await files.find(join(folder, name))
    if (file?.kind !== 'file') return
    const head = await file.read(0, FLAGS_AT + 4)
    if (head.length < FLAGS_AT + 4) return
    const flags = head.readUInt32BE(FLAGS_AT)
    const pageBytes = 512 << (flags & 0xf)
    const isRead = (flags & FULL_CRC32) !== 0 && (flags & COMPRESSED) === 0 &&
      pageBytes >= 4096 && pageBytes <= 65_536
    if (isRead) found.push({ name, file, pageBytes })
  }
  for (const folder of folders) {
    const names = (await files.list(folder) ?? []).map(({ name }) => name)
    for (const name of names.filter((it) => /^(?:ibdata|undo)\d+$/.test(it))) {
      await add(folder, name)
    }
    for (const inner of names.filter((it) => !it.includes('.')).slice(0, MAX_FOLDERS)) {
      for (const { name } of await files.list(join(folder, inner)) ?? []) {
        if (found.length >= MAX_FILES) return found
        if (name.endsWith('.ibd')) await add(folder, join(inner, name))
      }
    }
  }
  return found
}

/** At most `most` numbers below `count`, evenly, the first and the last among them. */
function spread(count: number, most: number): readonly number[] {
  const wanted = Math.min(count, most)
  return Array.from({ length: wanted }, (_, index) =>
    wanted === 1 ? 0 : Math.floor(index * (count - 1) / (wanted - 1)))
}

/** Undefined for a page that was never written. */
async function readPage(
  { file, pageBytes }: TableSpace, number: number): Promise<Buffer | undefined> {
  const found = await file.read(number * pageBytes, pageBytes)
  const page = Buffer.concat([found, Buffer.alloc(pageBytes - found.length)])
  return page.every((byte) => byte === 0) ? undefined : page
}

function whatIsWrong(page: Buffer, number: number, { end }: LogRange): string | undefined {
  if (!isWhole(page)) return 'torn'
  if (page.readUInt32BE(NUMBER_AT) !== number) return 'is another page'
  const lsn = page.readBigUInt64BE(LSN_AT)
  return lsn > end ? `is of ${lsn}, and the log ends at ${end}: it is of a later moment` : undefined
}

function isWhole(page: Buffer): boolean {
  const end = page.length - 4
  return (~rawCrc32c(page.subarray(0, end)) >>> 0) === page.readUInt32BE(end)
}

/** Where pages are written before they are written to their place. */
interface Doublewrite {
  readonly space: TableSpace
  readonly pages: readonly number[]
}

async function findDoublewrite(spaces: readonly TableSpace[]): Promise<Doublewrite | undefined> {
  const space = spaces.find(({ name }) => name === 'ibdata1')
  const head = space === undefined ? undefined : await readPage(space, TRX_SYS_PAGE)
  if (space === undefined || head?.length !== space.pageBytes || !isWhole(head)) return undefined
  const at = head.length - DOUBLEWRITE_AT_END + 10 // behind the header of its segment
  if (head.readUInt32BE(at) !== DOUBLEWRITE_MAGIC) return undefined
  const pages = [head.readUInt32BE(at + 4), head.readUInt32BE(at + 8)].flatMap((first) =>
    Array.from({ length: DOUBLEWRITE_BYTES / space.pageBytes }, (_, index) => first + index))
  return { space, pages }
}

/** A page that was cut while it was written is whole there, and the log goes on from it. */
async function isKept(
  twice: Doublewrite | undefined, torn: Buffer, { checkpoint, end }: LogRange): Promise<boolean> {
  for (const number of twice?.pages ?? []) {
    const copy = twice === undefined ? undefined : await readPage(twice.space, number)
    if (copy?.length !== torn.length || !isWhole(copy)) continue
    const lsn = copy.readBigUInt64BE(LSN_AT)
    const isSame = [NUMBER_AT, SPACE_AT]
      .every((at) => copy.readUInt32BE(at) === torn.readUInt32BE(at))
    if (isSame && lsn >= checkpoint && lsn <= end) return true
  }
  return false
}
