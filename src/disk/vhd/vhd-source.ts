/**
 * VHD for reading (Microsoft, "Virtual Hard Disk Image Format Specification", 2006): fixed,
 * dynamic, and differences to a parent. All numbers are big-endian.
 */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { BlockSource } from '../block-source.ts'
import { FileTables, sectorPieces, type DiskMap, type Piece } from './layered-disk.ts'
import { openChain, type Accepts, type FindFile, type Layer } from './parent-chain.ts'

const SECTOR = 512
const FOOTER_BYTES = 512
const HEADER_BYTES = 1024
const [FIXED, DYNAMIC, DIFFERENCES] = [2, 3, 4]
const UNUSED = 0xffff_ffff
const LOCATORS = 8
const MAX_LOCATOR_BYTES = 4096
const MAX_DISK_BYTES = 2 * 2 ** 40
/** Relative before absolute; both in UTF-16. */
const LOCATOR_CODES = ['W2ru', 'W2ku']

/** As `openVhdx`; a VHD has no log. */
export function openVhd(
  file: BlockSource, find: FindFile, signal: AbortSignal): Promise<BlockSource> {
  return openChain(file, find, readLayer, signal)
}

async function readLayer(
  file: BlockSource, accepts: Accepts, signal: AbortSignal): Promise<Layer | undefined> {
  const footer = await readFooter(file, signal)
  if (!accepts(footer.toString('hex', 68, 84))) return undefined
  const sizeBytes = Number(footer.readBigUInt64BE(48))
  const type = footer.readUInt32BE(60)
  if (sizeBytes > MAX_DISK_BYTES || sizeBytes % SECTOR !== 0) {
    fail(file.name, 'its size makes no sense')
  }
  if (type === FIXED) {
    if (sizeBytes > file.sizeBytes - FOOTER_BYTES) fail(file.name, 'it is cut')
    return { map: fixedMap(file, sizeBytes), contents: file, parent: undefined }
  }
  if (type !== DYNAMIC && type !== DIFFERENCES) fail(file.name, `it is of the kind ${type}`)
  const header = await readBytes(file, Number(footer.readBigUInt64BE(16)), HEADER_BYTES, signal)
  return {
    map: dynamicMap(file, header, sizeBytes, type === DIFFERENCES), contents: file,
    parent: type === DYNAMIC ? undefined : {
      paths: await parentPaths(file, header, signal),
      identities: [header.toString('hex', 40, 56)],
    },
  }
}

function fail(name: string, how: string): never {
  throw new Fault('disk-unreadable', `${name} cannot be read as a VHD: ${printable(how)}`)
}

async function readBytes(
  file: BlockSource, offset: number, length: number, signal: AbortSignal): Promise<Buffer> {
  const isInside = Number.isSafeInteger(offset) && offset >= 0 && length <= file.sizeBytes - offset
  if (!isInside) fail(file.name, `it points at ${offset}, outside of itself`)
  const bytes = await file.read(offset, length, signal)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** At the end; of a dynamic disk whose end was lost, also at the beginning. */
async function readFooter(file: BlockSource, signal: AbortSignal): Promise<Buffer> {
  for (const at of [file.sizeBytes - FOOTER_BYTES, 0]) {
    const footer = at < 0 ? Buffer.alloc(FOOTER_BYTES)
      : await readBytes(file, at, FOOTER_BYTES, signal)
    const isFooter = footer.toString('latin1', 0, 8) === 'conectix' && hasChecksum(footer, 64)
    if (!isFooter || (at === 0 && footer.readUInt32BE(60) === FIXED)) continue
    if (footer.readUInt32BE(12) >> 16 !== 1) fail(file.name, 'it is of an unknown version')
    return footer
  }
  return fail(file.name, 'it has no footer that is whole')
}

/** "One's complement of the sum of all the bytes", without the field itself. */
function hasChecksum(bytes: Buffer, at: number): boolean {
  let sum = 0
  for (const [index, byte] of bytes.entries()) sum += index >= at && index < at + 4 ? 0 : byte
  return (~sum >>> 0) === bytes.readUInt32BE(at)
}

function fixedMap(file: BlockSource, sizeBytes: number): DiskMap {
  return {
    name: `VHD of ${file.name}`, sizeBytes,
    piecesAt: async (offset, length) => [{ length, from: offset }],
  }
}

function dynamicMap(
  file: BlockSource, header: Buffer, sizeBytes: number, hasParent: boolean): DiskMap {
  if (header.toString('latin1', 0, 8) !== 'cxsparse' || !hasChecksum(header, 36)) {
    fail(file.name, 'its header is damaged')
  }
  const tableAt = Number(header.readBigUInt64BE(16))
  const [entries, blockBytes] = [header.readUInt32BE(28), header.readUInt32BE(32)]
  const bitmapBytes = Math.ceil(blockBytes / SECTOR / 8 / SECTOR) * SECTOR
  const isPlausible = blockBytes >= SECTOR && blockBytes <= 256 * 2 ** 20 &&
    Number.isInteger(Math.log2(blockBytes)) && Number.isSafeInteger(tableAt) &&
    tableAt % SECTOR === 0 && tableAt + 4 * entries <= file.sizeBytes &&
    sizeBytes <= entries * blockBytes
  if (!isPlausible) fail(file.name, 'its header makes no sense')
  const tables = new FileTables(file)
  return {
    name: `VHD of ${file.name}`, sizeBytes,
    piecesAt: async (offset, length, signal): Promise<readonly Piece[]> => {
      const within = offset % blockBytes
      const most = Math.min(length, blockBytes - within)
      const entry = await tables.at(tableAt + 4 * Math.floor(offset / blockBytes), signal)
      const sector = entry.readUInt32BE(0)
      if (sector === UNUSED) return [{ length: most, from: hasParent ? 'parent' : 'zero' }]
      const at = sector * SECTOR
      if (at + bitmapBytes + blockBytes > file.sizeBytes) {
        fail(file.name, 'a block of it lies outside of it')
      }
      const from = at + bitmapBytes + within
      // Of a dynamic disk a sector that is not marked holds zeros, also in the file.
      if (!hasParent) return [{ length: most, from }]
      const first = Math.floor(within / SECTOR / 8) * 8
      const bits = await tables.at(at + first / 8, signal)
      const end = Math.min(within + most, (first + bits.length * 8) * SECTOR)
      // The highest bit of a byte is the first sector's.
      return sectorPieces(
        (sector) => ((bits[(sector - first) >> 3] ?? 0) >> (7 - (sector - first & 7)) & 1) === 1,
        { sectorBytes: SECTOR, offset: within, length: end - within, from })
    },
  }
}

async function parentPaths(
  file: BlockSource, header: Buffer, signal: AbortSignal): Promise<readonly string[]> {
  const paths = new Map<string, string>()
  for (let n = 0; n < LOCATORS; n++) {
    const at = 576 + 24 * n
    const code = header.toString('latin1', at, at + 4)
    const length = header.readUInt32BE(at + 8)
    if (!LOCATOR_CODES.includes(code) || length > MAX_LOCATOR_BYTES) continue
    const bytes = await readBytes(file, Number(header.readBigUInt64BE(at + 16)), length, signal)
    paths.set(code, bytes.toString('utf16le').replace(/\0.*$/s, ''))
  }
  const name = Buffer.from(header.subarray(64, 576)).swap16().toString('utf16le')
  return [...LOCATOR_CODES.map((code) => paths.get(code)), name.replace(/\0.*$/s, '')]
    .filter((path): path is string => path !== undefined && path !== '')
}
