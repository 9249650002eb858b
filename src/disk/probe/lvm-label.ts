/**
 * An LVM2 physical volume: its label, and the text of its volume group (LVM2 lib/label and
 * lib/format_text; pvs(8), pvck(8) `--dump`).
 */

import { crc32 } from 'node:zlib'
import { parseLvmText, type LvmSection } from './lvm-text.ts'
import { hyphenated } from './text.ts'
import type { Window } from './window.ts'

export interface PhysicalVolume {
  /** As LVM writes it, hyphens between; undefined if it makes no sense. */
  readonly uuid: string | undefined
  /** The newest text found on it; undefined where it keeps none, or none can be read. */
  readonly text: LvmSection | undefined
}

const SECTOR = 512
const MAX_AREAS = 16
/** LVM makes areas of 1 MiB; a text is a third of one at most. */
const MAX_TEXT_BYTES = 1024 * 1024
const AREA_MAGIC = ' LVM2 x[5A%r0N*>'
const RAW_LOCATIONS = 40

/** The label's sector, which is one of the first four; nothing if there is none. */
export function findLvmLabel(head: Buffer): Buffer | undefined {
  for (let sector = 0; sector < 4 && head.length >= SECTOR * (sector + 1); sector++) {
    const label = head.subarray(SECTOR * sector, SECTOR * (sector + 1))
    const isLabel = label.toString('latin1', 0, 8) === 'LABELONE' &&
      label.toString('latin1', 24, 32) === 'LVM2 001'
    if (isLabel) return label
  }
  return undefined
}

/** The physical volume's id as LVM writes it; nothing if it makes no sense. */
export function lvmUuid(label: Buffer): string | undefined {
  const at = label.readUInt32LE(20)
  const id = at + 32 <= SECTOR ? label.toString('latin1', at, at + 32) : ''
  return /^[\w!#-]{32}$/.test(id) ? hyphenated(id, [6, 4, 4, 4, 4, 4, 6]) : undefined
}

/** Reads what the label points to: some sectors and at most a few texts. */
export async function readPhysicalVolume(label: Buffer, volume: Window): Promise<PhysicalVolume> {
  const uuid = lvmUuid(label)
  let text: LvmSection | undefined
  for (const area of metadataAreas(label, label.readUInt32LE(20) + 40)) {
    const found = await readArea(volume, area)
    if (found !== undefined && (text === undefined || seqnoOf(found) > seqnoOf(text))) text = found
  }
  return { uuid, text }
}

/** The group's name and section in a text; nothing if it has not just one. */
export function groupOf(text: LvmSection): readonly [string, LvmSection] | undefined {
  const [group, ...others] = text.sections
  return others.length === 0 ? group : undefined
}

/** How often the group was changed; of two texts the higher counts. */
export function seqnoOf(text: LvmSection): number {
  const seqno = groupOf(text)?.[1].values.get('seqno')
  return typeof seqno === 'number' ? seqno : -1
}

/** The offsets of the metadata areas: the second of two lists that end with zeros. */
function metadataAreas(label: Buffer, start: number): readonly number[] {
  const areas: number[] = []
  let at = start
  for (let list = 0; list < 2; list++) {
    for (let n = 0; ; n++, at += 16) {
      if (at + 16 > SECTOR || n > MAX_AREAS) return areas
      const offset = Number(label.readBigUInt64LE(at))
      if (offset === 0) break
      if (list === 1) areas.push(offset)
    }
    at += 16
  }
  return areas
}

async function readArea(volume: Window, offset: number): Promise<LvmSection | undefined> {
  const header = await volume.read(offset, SECTOR)
  if (header === undefined || header.toString('latin1', 4, 20) !== AREA_MAGIC) return undefined
  if (lvmChecksum(header.subarray(4)) !== header.readUInt32LE(0)) return undefined
  const areaBytes = Number(header.readBigUInt64LE(32))
  const textOffset = Number(header.readBigUInt64LE(RAW_LOCATIONS))
  const length = Number(header.readBigUInt64LE(RAW_LOCATIONS + 8))
  const isPlausible = textOffset >= SECTOR && textOffset < areaBytes &&
    length > 0 && length <= MAX_TEXT_BYTES && length <= areaBytes - SECTOR
  if (!isPlausible) return undefined
  // The text goes round: behind the area's end it goes on after the header.
  const first = Math.min(length, areaBytes - textOffset)
  const start = await volume.read(offset + textOffset, first)
  const rest = first === length
    ? Buffer.alloc(0) : await volume.read(offset + SECTOR, length - first)
  if (start === undefined || rest === undefined) return undefined
  const bytes = Buffer.concat([start, rest])
  if (lvmChecksum(bytes) !== header.readUInt32LE(RAW_LOCATIONS + 16)) return undefined
  return parseLvmText(bytes.toString('utf8'))
}

/** CRC-32 begun with LVM's own number and without the final inversion (lib/misc/crc.h). */
function lvmChecksum(bytes: Uint8Array): number {
  return ~crc32(bytes, ~0xf597_a6cf >>> 0) >>> 0
}
