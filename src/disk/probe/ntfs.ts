/**
 * NTFS: the volume's flags and whether its log was closed (layouts as in ntfs-3g's layout.h and
 * logfile.h). Windows clears the log's clean mark when it mounts and sets it at a clean dismount;
 * the dirty flag is set only on trouble, so its absence alone says little.
 */

import type { Window } from './window.ts'
import { names } from './text.ts'
import type { Recognised } from './volume.ts'

const ATTRIBUTE_VOLUME_NAME = 0x60
const ATTRIBUTE_VOLUME_INFORMATION = 0x70
const ATTRIBUTE_DATA = 0x80
const ATTRIBUTES_END = 0xffff_ffff
const MAX_ATTRIBUTES = 64

const RECORD_LOGFILE = 2
const RECORD_VOLUME = 3

const VOLUME_IS_DIRTY = 0x0001
const RESTART_VOLUME_IS_CLEAN = 0x0002
const RESTART_PAGE_BYTES = 4096
const NO_CLIENT = 0xffff

export async function recogniseNtfs(head: Buffer, volume: Window): Promise<Recognised | undefined> {
  if (head.length < 512 || head.toString('latin1', 3, 11) !== 'NTFS    ') return undefined
  const uuid = head.readBigUInt64LE(0x48).toString(16).padStart(16, '0').toUpperCase()
  const geometry = geometryOf(head)
  if (geometry === undefined) {
    return { kind: 'ntfs', uuid, activity: 'unknown', detail: 'the boot sector makes no sense' }
  }
  const about = await readRecord(volume, geometry, RECORD_VOLUME)
  const label = about && residentValue(about, ATTRIBUTE_VOLUME_NAME)?.toString('utf16le')
  return {
    kind: 'ntfs', ...names(uuid, label === '' ? undefined : label),
    ...await activityOf(volume, geometry, about),
  }
}

interface Geometry {
  readonly sectorBytes: number
  readonly clusterBytes: number
  readonly recordBytes: number
  readonly mftOffset: number
}

function geometryOf(head: Buffer): Geometry | undefined {
  const sectorBytes = head.readUInt16LE(11)
  const clusterBytes = sectorBytes * head.readUInt8(13)
  const perRecord = head.readInt8(0x40)
  const recordBytes = perRecord > 0 ? perRecord * clusterBytes : 2 ** -perRecord
  const mftOffset = Number(head.readBigUInt64LE(0x30)) * clusterBytes
  const isPlausible = [512, 1024, 2048, 4096].includes(sectorBytes) &&
    clusterBytes > 0 && Number.isInteger(Math.log2(clusterBytes)) &&
    recordBytes >= 512 && recordBytes <= 65_536 && recordBytes % 512 === 0 &&
    Number.isSafeInteger(mftOffset)
  return isPlausible ? { sectorBytes, clusterBytes, recordBytes, mftOffset } : undefined
}

async function activityOf(
  volume: Window, geometry: Geometry, about: Buffer | undefined,
): Promise<Pick<Recognised, 'activity' | 'detail'>> {
  const information = about && residentValue(about, ATTRIBUTE_VOLUME_INFORMATION)
  if (information === undefined || information.length < 12) {
    return { activity: 'unknown', detail: 'the volume\'s flags cannot be read' }
  }
  if ((information.readUInt16LE(10) & VOLUME_IS_DIRTY) !== 0) {
    return { activity: 'active', detail: 'the volume is marked as dirty' }
  }
  return BY_LOG[await readLogState(volume, geometry)]
}

type LogState = 'closed' | 'open' | 'unreadable'

const BY_LOG: Readonly<Record<LogState, Pick<Recognised, 'activity' | 'detail'>>> = {
  closed: { activity: 'clean', detail: 'not dirty, and the log was closed' },
  open: { activity: 'active', detail: 'the log was not closed' },
  unreadable: { activity: 'unknown', detail: 'not dirty; the log cannot be read' },
}

async function readLogState(volume: Window, geometry: Geometry): Promise<LogState> {
  const record = await readRecord(volume, geometry, RECORD_LOGFILE)
  const cluster = record && firstDataCluster(record)
  if (cluster === undefined) return 'unreadable'
  const pages = await volume.read(cluster * geometry.clusterBytes, 2 * RESTART_PAGE_BYTES)
  if (pages === undefined) return 'unreadable'
  if (pages.every((byte) => byte === 0xff)) return 'closed' // as mkntfs leaves it
  const areas = [0, RESTART_PAGE_BYTES]
    .map((at) => restartArea(pages.subarray(at, at + RESTART_PAGE_BYTES), geometry.sectorBytes))
    .filter((area) => area !== undefined)
    .toSorted((a, b) => Number(b.readBigUInt64LE(0) - a.readBigUInt64LE(0)))
  const [newest] = areas
  if (newest === undefined) return 'unreadable'
  const isClean = (newest.readUInt16LE(14) & RESTART_VOLUME_IS_CLEAN) !== 0
  return isClean || newest.readUInt16LE(12) === NO_CLIENT ? 'closed' : 'open'
}

function restartArea(page: Buffer, sectorBytes: number): Buffer | undefined {
  if (page.toString('latin1', 0, 4) !== 'RSTR' || !undoFixups(page, sectorBytes)) return undefined
  const at = page.readUInt16LE(24)
  return at + 16 <= page.length ? page.subarray(at) : undefined
}

async function readRecord(
  volume: Window, geometry: Geometry, number: number): Promise<Buffer | undefined> {
  const { mftOffset, recordBytes, sectorBytes } = geometry
  const record = await volume.read(mftOffset + number * recordBytes, recordBytes)
  if (record === undefined || record.toString('latin1', 0, 4) !== 'FILE') return undefined
  return undoFixups(record, sectorBytes) ? record : undefined
}

/** Puts back the last two bytes of each sector; false if they show that the record is torn. */
function undoFixups(record: Buffer, sectorBytes: number): boolean {
  const at = record.readUInt16LE(4)
  const count = record.readUInt16LE(6)
  const stride = Math.min(512, sectorBytes)
  if (count !== record.length / stride + 1 || at + 2 * count > record.length) return false
  const mark = record.readUInt16LE(at)
  for (let i = 1; i < count; i++) {
    const last = i * stride - 2
    if (record.readUInt16LE(last) !== mark) return false
    record.writeUInt16LE(record.readUInt16LE(at + 2 * i), last)
  }
  return true
}

function residentValue(record: Buffer, type: number): Buffer | undefined {
  const attribute = findAttribute(record, type)
  if (attribute === undefined || attribute.length < 24 || attribute.readUInt8(8) !== 0) {
    return undefined
  }
  const at = attribute.readUInt16LE(20)
  const length = attribute.readUInt32LE(16)
  return at + length <= attribute.length ? attribute.subarray(at, at + length) : undefined
}

/** The cluster where an unnamed, non-resident $DATA begins. */
function firstDataCluster(record: Buffer): number | undefined {
  const attribute = findAttribute(record, ATTRIBUTE_DATA)
  if (attribute === undefined || attribute.length < 64 || attribute.readUInt8(8) === 0) {
    return undefined
  }
  const at = attribute.readUInt16LE(32)
  if (at + 1 > attribute.length) return undefined
  const sizes = attribute.readUInt8(at)
  const lengthBytes = sizes & 0xf
  const offsetBytes = sizes >> 4
  const isReadable = lengthBytes >= 1 && offsetBytes >= 1 && offsetBytes <= 6 &&
    at + 1 + lengthBytes + offsetBytes <= attribute.length
  return isReadable ? attribute.readIntLE(at + 1 + lengthBytes, offsetBytes) : undefined
}

function findAttribute(record: Buffer, type: number): Buffer | undefined {
  let at = record.readUInt16LE(20)
  for (let count = 0; count < MAX_ATTRIBUTES && at + 16 <= record.length; count++) {
    const found = record.readUInt32LE(at)
    const length = record.readUInt32LE(at + 4)
    if (found === ATTRIBUTES_END || length < 16 || at + length > record.length) return undefined
    if (found === type) return record.subarray(at, at + length)
    at += length
  }
  return undefined
}
