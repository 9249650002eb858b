/**
 * Partition tables: MBR with its chain of logical partitions, and GPT (UEFI specification 2.10,
 * chapter 5). Whatever a table says, the number of partitions and reads is bounded.
 */

import { crc32 } from 'node:zlib'
import { guidText } from './text.ts'
import type { Window } from './window.ts'

export interface Partition {
  readonly partition: number
  readonly offset: number
  readonly length: number
  readonly partitionType: string
}

export interface PartitionTable {
  readonly table: 'gpt' | 'mbr'
  readonly partitions: readonly Partition[]
}

const SECTOR = 512
const EXTENDED = [0x05, 0x0f, 0x85]
const GPT_PROTECTIVE = 0xee
/** Linux itself stops at 256 partitions of a disk (DISK_MAX_PARTS). */
const MAX_PARTITIONS = 256

interface MbrEntry {
  readonly type: number
  readonly firstSector: number
  readonly sectors: number
}

/** The disk's partition table; nothing if it has none, `damaged` if a GPT should be there. */
export async function readPartitionTable(
  disk: Window): Promise<PartitionTable | 'damaged' | undefined> {
  const entries = mbrEntries(await disk.read(0, SECTOR))
  if (entries === undefined) return undefined
  if (entries.some(({ type }) => type === GPT_PROTECTIVE)) return await readGpt(disk) ?? 'damaged'
  const partitions: Partition[] = []
  for (const [index, entry] of entries.entries()) {
    if (entry.type === 0) continue
    if (EXTENDED.includes(entry.type)) continue
    partitions.push(asPartition(index + 1, entry, 0))
  }
  const extended = entries.find(({ type }) => EXTENDED.includes(type))
  if (extended !== undefined) partitions.push(...await readLogical(disk, extended))
  return { table: 'mbr', partitions }
}

/** The four entries; nothing if the sector cannot be an MBR. */
function mbrEntries(sector: Buffer | undefined): readonly MbrEntry[] | undefined {
  if (sector === undefined || sector.readUInt16LE(510) !== 0xaa55) return undefined
  const entries: MbrEntry[] = []
  for (let at = 446; at < 510; at += 16) {
    const isActive = sector.readUInt8(at)
    if (isActive !== 0 && isActive !== 0x80) return undefined
    const sectors = sector.readUInt32LE(at + 12)
    entries.push({
      type: sectors === 0 ? 0 : sector.readUInt8(at + 4),
      firstSector: sector.readUInt32LE(at + 8), sectors,
    })
  }
  return entries.some(({ type }) => type !== 0) ? entries : undefined
}

async function readLogical(disk: Window, extended: MbrEntry): Promise<readonly Partition[]> {
  const partitions: Partition[] = []
  const seen = new Set<number>()
  let at = extended.firstSector
  while (!seen.has(at) && seen.size < MAX_PARTITIONS) {
    seen.add(at)
    const [logical, next] = mbrEntries(await disk.read(at * SECTOR, SECTOR)) ?? []
    if (logical === undefined) break
    if (logical.type !== 0 && !EXTENDED.includes(logical.type)) {
      partitions.push(asPartition(5 + partitions.length, logical, at))
    }
    if (next === undefined || !EXTENDED.includes(next.type)) break
    at = extended.firstSector + next.firstSector
  }
  return partitions
}

function asPartition(number: number, entry: MbrEntry, base: number): Partition {
  return {
    partition: number,
    offset: (base + entry.firstSector) * SECTOR,
    length: entry.sectors * SECTOR,
    partitionType: `0x${entry.type.toString(16).padStart(2, '0')}`,
  }
}

async function readGpt(disk: Window): Promise<PartitionTable | undefined> {
  for (const sectorBytes of [512, 4096]) {
    // The second header, at the end, is there for when the first is damaged.
    for (const at of [sectorBytes, disk.length - sectorBytes]) {
      const partitions = await readGptAt(disk, at, sectorBytes)
      if (partitions !== undefined) return { table: 'gpt', partitions }
    }
  }
  return undefined
}

async function readGptAt(
  disk: Window, at: number, sectorBytes: number): Promise<readonly Partition[] | undefined> {
  const header = await disk.read(at, 512)
  if (header === undefined || header.toString('latin1', 0, 8) !== 'EFI PART') return undefined
  const headerBytes = header.readUInt32LE(12)
  if (headerBytes < 92 || headerBytes > header.length) return undefined
  const checksum = header.readUInt32LE(16)
  header.writeUInt32LE(0, 16)
  if (crc32(header.subarray(0, headerBytes)) !== checksum) return undefined
  if (Number(header.readBigUInt64LE(24)) * sectorBytes !== at) return undefined
  const count = header.readUInt32LE(80)
  const entryBytes = header.readUInt32LE(84)
  const isPlausible = entryBytes >= 128 && entryBytes <= 4096 && entryBytes % 8 === 0
  if (!isPlausible) return undefined
  const entries = await disk.read(
    Number(header.readBigUInt64LE(72)) * sectorBytes, count * entryBytes)
  if (entries === undefined || crc32(entries) !== header.readUInt32LE(88)) return undefined
  return decodeGptEntries(entries, entryBytes, sectorBytes)
}

function decodeGptEntries(
  entries: Buffer, entryBytes: number, sectorBytes: number): readonly Partition[] {
  const partitions: Partition[] = []
  for (let index = 0; index < entries.length / entryBytes; index++) {
    const entry = entries.subarray(index * entryBytes, (index + 1) * entryBytes)
    const partitionType = guidText(entry.subarray(0, 16))
    const offset = Number(entry.readBigUInt64LE(32)) * sectorBytes
    const end = (Number(entry.readBigUInt64LE(40)) + 1) * sectorBytes
    if (partitionType === undefined || !Number.isSafeInteger(end) || offset >= end) continue
    if (partitions.length === MAX_PARTITIONS) break
    partitions.push({ partition: index + 1, offset, length: end - offset, partitionType })
  }
  return partitions
}
