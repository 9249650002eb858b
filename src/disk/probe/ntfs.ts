/**
 * NTFS: the volume's flags and whether its log was closed (layouts as in ntfs-3g's layout.h and
 * logfile.h). Windows clears the log's clean mark when it mounts and sets it at a clean dismount;
 * the dirty flag is set only on trouble, so its absence alone says little.
 */

import {
  NTFS_ATTRIBUTES, ntfsAttributes, ntfsGeometry, ntfsRuns, undoFixups,
  type NtfsAttribute, type NtfsGeometry,
} from './ntfs-record.ts'
import { names } from './text.ts'
import type { Recognised } from './volume.ts'
import type { Window } from './window.ts'

const RECORD_LOGFILE = 2
const RECORD_VOLUME = 3

const VOLUME_IS_DIRTY = 0x0001
const RESTART_VOLUME_IS_CLEAN = 0x0002
const RESTART_PAGE_BYTES = 4096
const NO_CLIENT = 0xffff

export async function recogniseNtfs(head: Buffer, volume: Window): Promise<Recognised | undefined> {
  if (head.length < 512 || head.toString('latin1', 3, 11) !== 'NTFS    ') return undefined
  const uuid = head.readBigUInt64LE(0x48).toString(16).padStart(16, '0').toUpperCase()
  const geometry = ntfsGeometry(head)
  if (geometry === undefined) {
    return { kind: 'ntfs', uuid, activity: 'unknown', detail: 'the boot sector makes no sense' }
  }
  const about = await readRecord(volume, geometry, RECORD_VOLUME)
  const label = about && residentValue(about, NTFS_ATTRIBUTES.volumeName)?.toString('utf16le')
  return {
    kind: 'ntfs', ...names(uuid, label === '' ? undefined : label),
    ...await activityOf(volume, geometry, about),
  }
}

async function activityOf(
  volume: Window, geometry: NtfsGeometry, about: Attributes | undefined,
): Promise<Pick<Recognised, 'activity' | 'detail'>> {
  const information = about && residentValue(about, NTFS_ATTRIBUTES.volumeInformation)
  if (information === undefined || information.length < 12) {
    return { activity: 'unknown', detail: 'the volume\'s flags cannot be read' }
  }
  if ((information.readUInt16LE(10) & VOLUME_IS_DIRTY) !== 0) {
    return { activity: 'active', detail: 'the volume is marked as dirty' }
  }
  return BY_LOG[await ntfsLogState(volume, geometry)]
}

/** Whether the volume was dismounted, by the newer of its log's two restart pages. */
export type NtfsLogState = 'closed' | 'open' | 'unreadable'

const BY_LOG: Readonly<Record<NtfsLogState, Pick<Recognised, 'activity' | 'detail'>>> = {
  closed: { activity: 'clean', detail: 'not dirty, and the log was closed' },
  open: { activity: 'active', detail: 'the log was not closed' },
  unreadable: { activity: 'unknown', detail: 'not dirty; the log cannot be read' },
}

export async function ntfsLogState(
  volume: Window, geometry: NtfsGeometry): Promise<NtfsLogState> {
  const record = await readRecord(volume, geometry, RECORD_LOGFILE)
  const place = record?.find(isUnnamedData)?.place
  const runs = place !== undefined && 'extent' in place ? ntfsRuns(place.extent) : undefined
  const cluster = runs?.[0]?.lcn
  if (cluster === undefined) return 'unreadable'
  const pages = await volume.read(cluster * geometry.clusterBytes, 2 * RESTART_PAGE_BYTES)
  if (pages === undefined) return 'unreadable'
  if (pages.every((byte) => byte === 0xff)) return 'closed' // as mkntfs leaves it
  const areas = [0, RESTART_PAGE_BYTES]
    .map((at) => restartArea(pages.subarray(at, at + RESTART_PAGE_BYTES)))
    .filter((area) => area !== undefined)
    .toSorted((a, b) => Number(b.readBigUInt64LE(0) - a.readBigUInt64LE(0)))
  const [newest] = areas
  if (newest === undefined) return 'unreadable'
  const isClean = (newest.readUInt16LE(14) & RESTART_VOLUME_IS_CLEAN) !== 0
  return isClean || newest.readUInt16LE(12) === NO_CLIENT ? 'closed' : 'open'
}

function restartArea(page: Buffer): Buffer | undefined {
  if (page.toString('latin1', 0, 4) !== 'RSTR' || !undoFixups(page)) return undefined
  const at = page.readUInt16LE(24)
  return at + 16 <= page.length ? page.subarray(at) : undefined
}

type Attributes = readonly NtfsAttribute[]

/** One of the first records, which lie where the boot sector says. */
async function readRecord(
  volume: Window, geometry: NtfsGeometry, number: number): Promise<Attributes | undefined> {
  const { mftOffset, recordBytes } = geometry
  const record = await volume.read(mftOffset + number * recordBytes, recordBytes)
  if (record === undefined || record.toString('latin1', 0, 4) !== 'FILE') return undefined
  return undoFixups(record) ? ntfsAttributes(record) : undefined
}

function residentValue(attributes: Attributes, type: number): Buffer | undefined {
  const place = attributes.find((attribute) => attribute.type === type)?.place
  return place !== undefined && 'value' in place ? place.value : undefined
}

function isUnnamedData({ type, name }: NtfsAttribute): boolean {
  return type === NTFS_ATTRIBUTES.data && name === ''
}
