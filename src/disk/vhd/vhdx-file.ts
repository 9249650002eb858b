/**
 * What a VHDX says of itself (MS-VHDX 2.2, 2.3.1, 2.6): headers, region tables, metadata. All
 * numbers are little-endian; what it says is hostile.
 */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { BlockSource } from '../block-source.ts'
import { rawCrc32c } from '../probe/crc32c.ts'
import { guidText } from '../probe/text.ts'

export const MIB = 2 ** 20
const HEADER_OFFSETS = [64 * 1024, 128 * 1024] as const
const HEADER_BYTES = 4096
const TABLE_OFFSETS = [192 * 1024, 256 * 1024] as const
const TABLE_BYTES = 64 * 1024
const MAX_ENTRIES = 2047

const BAT_REGION = '2dc27766-f623-4200-9d64-115e9bfd4a08'
const METADATA_REGION = '8b7ca206-4790-4b9a-b8fe-575f050f886e'

export interface VhdxHeader {
  /** Of its contents as they are: a child names it. */
  readonly dataWriteGuid: string
  /** Undefined: there is nothing in the log. */
  readonly logGuid: string | undefined
  readonly logOffset: number
  readonly logBytes: number
}

export interface Region {
  readonly offset: number
  readonly length: number
}

/** Fault: `disk-unreadable`. */
export function failVhdx(name: string, how: string): never {
  throw new Fault('disk-unreadable', `${name} cannot be read as a VHDX: ${printable(how)}`)
}

/** Bytes of the file that must be there. */
export async function readFile(
  file: BlockSource, offset: number, length: number, signal: AbortSignal): Promise<Buffer> {
  const isInside = Number.isSafeInteger(offset) && offset >= 0 && length <= file.sizeBytes - offset
  if (!isInside) failVhdx(file.name, `it points at ${offset}, outside of itself`)
  const bytes = await file.read(offset, length, signal)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A 64-bit number; what is no safe integer is more than any file has. */
export function number64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at))
}

export function hasChecksum(bytes: Buffer): boolean {
  const blank = Buffer.from(bytes)
  blank.writeUInt32LE(0, 4)
  return (~rawCrc32c(blank) >>> 0) === bytes.readUInt32LE(4)
}

/** Of two headers the newer one that is whole. Fault: `disk-unreadable`. */
export async function readHeader(file: BlockSource, signal: AbortSignal): Promise<VhdxHeader> {
  const start = await readFile(file, 0, 8, signal)
  if (start.toString('latin1') !== 'vhdxfile') failVhdx(file.name, 'it does not begin as one')
  const whole: Buffer[] = []
  for (const offset of HEADER_OFFSETS) {
    const bytes = await readFile(file, offset, HEADER_BYTES, signal)
    if (bytes.toString('latin1', 0, 4) === 'head' && hasChecksum(bytes)) whole.push(bytes)
  }
  const [header = failVhdx(file.name, 'both of its headers are damaged')] =
    whole.toSorted((a, b) => a.readBigUInt64LE(8) < b.readBigUInt64LE(8) ? 1 : -1)
  if (header.readUInt16LE(66) !== 1) failVhdx(file.name, 'it is of an unknown version')
  const logGuid = guidText(header.subarray(48, 64))
  const [logBytes, logOffset] = [header.readUInt32LE(68), number64(header, 72)]
  const isAligned = logBytes % MIB === 0 && logOffset % MIB === 0 && logOffset >= MIB
  if (logGuid !== undefined && (header.readUInt16LE(64) !== 0 || logBytes === 0 || !isAligned)) {
    failVhdx(file.name, 'its log is of an unknown form')
  }
  return {
    dataWriteGuid: guidText(header.subarray(32, 48)) ?? '', logGuid, logOffset, logBytes }
}

/** The places of its two regions, of either table that is whole. Fault: `disk-unreadable`. */
export async function readRegions(file: BlockSource, signal: AbortSignal): Promise<
  { readonly bat: Region; readonly metadata: Region }> {
  for (const offset of TABLE_OFFSETS) {
    const table = await readFile(file, offset, TABLE_BYTES, signal)
    if (table.toString('latin1', 0, 4) !== 'regi' || !hasChecksum(table)) continue
    const count = table.readUInt32LE(8)
    if (count > MAX_ENTRIES) failVhdx(file.name, 'its table of regions makes no sense')
    const regions = new Map<string, Region>()
    for (let at = 16; at < 16 + 32 * count; at += 32) {
      const guid = guidText(table.subarray(at, at + 16)) ?? ''
      const region = { offset: number64(table, at + 16), length: table.readUInt32LE(at + 24) }
      const isRequired = (table.readUInt32LE(at + 28) & 1) !== 0
      if (isRequired && guid !== BAT_REGION && guid !== METADATA_REGION) {
        failVhdx(file.name, `it has a region that is not known (${guid})`)
      }
      if (region.offset < MIB || region.offset % MIB !== 0 || region.length % MIB !== 0 ||
        region.offset + region.length > file.sizeBytes) {
        failVhdx(file.name, 'a region of it lies nowhere')
      }
      regions.set(guid, region)
    }
    const [bat, metadata] = [regions.get(BAT_REGION), regions.get(METADATA_REGION)]
    if (bat === undefined || metadata === undefined) failVhdx(file.name, 'it lacks a region')
    return { bat, metadata }
  }
  return failVhdx(file.name, 'both of its tables of regions are damaged')
}
