/**
 * The logical volumes of volume groups whose physical volumes were found, as far as they are
 * linear: each is a row of pieces of physical volumes.
 */

import { groupOf, seqnoOf, type PhysicalVolume } from './lvm-label.ts'
import type { LvmSection, LvmValue } from './lvm-text.ts'
import type { Window } from './window.ts'

export interface FoundPhysicalVolume extends PhysicalVolume {
  readonly diskId: string
  readonly window: Window
}

export interface LogicalVolume {
  /** `vg0/root`, as found: hostile. */
  readonly name: string
  /** All disks that its pieces lie on. */
  readonly diskIds: readonly string[]
  /** Its bytes; undefined where it is not linear or a piece of it is missing: see `why`. */
  readonly window: Window | undefined
  readonly why: string
}

export interface VolumeGroup {
  readonly name: string
  readonly physical: readonly FoundPhysicalVolume[]
  readonly volumes: readonly LogicalVolume[]
}

const SECTOR = 512
const MAX_VOLUMES = 256
const MAX_SEGMENTS = 4096
/** LVM's own names for what it keeps beside the volumes that people make. */
const VISIBLE = 'VISIBLE'

/** Groups by their newest text; physical volumes that no text explains are in no group. */
export function readVolumeGroups(
  found: readonly FoundPhysicalVolume[]): readonly VolumeGroup[] {
  const newest = new Map<string, LvmSection>()
  for (const { text } of found) {
    if (text === undefined) continue
    const id = stringOf(groupOf(text)?.[1].values.get('id'))
    const known = newest.get(id)
    if (id !== '' && (known === undefined || seqnoOf(text) > seqnoOf(known))) newest.set(id, text)
  }
  return [...newest.values()].flatMap((text) => readGroup(text, found) ?? [])
}

function readGroup(
  text: LvmSection, found: readonly FoundPhysicalVolume[]): VolumeGroup | undefined {
  const [name, group] = groupOf(text) ?? []
  const extentBytes = numberOf(group?.values.get('extent_size')) * SECTOR
  if (name === undefined || group === undefined || !(extentBytes > 0)) return undefined
  const members = new Map<string, Member>()
  for (const [key, section] of group.sections.get('physical_volumes')?.sections ?? []) {
    const uuid = stringOf(section.values.get('id'))
    const physical = found.find((volume) => volume.uuid === uuid)
    const startBytes = numberOf(section.values.get('pe_start')) * SECTOR
    if (physical !== undefined) members.set(key, { physical, startBytes })
  }
  const volumes = [...group.sections.get('logical_volumes')?.sections ?? []]
  if (volumes.length > MAX_VOLUMES) return undefined
  return {
    name,
    physical: [...members.values()].map(({ physical }) => physical),
    volumes: volumes.filter(([, section]) => isVisible(section)).map(([key, section]) =>
      readVolume(`${name}/${key}`, section, members, extentBytes)),
  }
}

interface Member {
  readonly physical: FoundPhysicalVolume
  readonly startBytes: number
}

/** What people made; the parts of a thin pool or a mirror are what these are made of. */
function isVisible({ values }: LvmSection): boolean {
  const status = values.get('status')
  return Array.isArray(status) && status.includes(VISIBLE)
}

function readVolume(
  name: string, section: LvmSection, members: ReadonlyMap<string, Member>, extentBytes: number,
): LogicalVolume {
  const pieces: Piece[] = []
  const everywhere = [...new Set([...members.values()].map(({ physical }) => physical.diskId))]
  const hidden = (why: string): LogicalVolume =>
    ({ name, diskIds: everywhere, window: undefined, why })
  const segments = [...section.sections.values()].toSorted((a, b) =>
    numberOf(a.values.get('start_extent')) - numberOf(b.values.get('start_extent')))
  if (segments.length === 0 || segments.length > MAX_SEGMENTS) return hidden('it has no extents')
  let nextExtent = 0
  for (const { values } of segments) {
    const type = stringOf(values.get('type'))
    const [member, extent, ...others] = listOf(values.get('stripes'))
    if (type !== 'striped' || others.length > 0 || typeof extent !== 'number') {
      return hidden(`it is of type "${type === 'striped' ? 'striped' : type}", not linear`)
    }
    const physical = members.get(String(member))
    if (physical === undefined) return hidden('a physical volume of it is not here')
    const count = numberOf(values.get('extent_count'))
    const isNext = numberOf(values.get('start_extent')) === nextExtent && count > 0
    if (!isNext) return hidden('its extents make no sense')
    nextExtent += count
    pieces.push({
      physical: physical.physical, offset: physical.startBytes + extent * extentBytes,
      length: count * extentBytes,
    })
  }
  return {
    name, diskIds: [...new Set(pieces.map(({ physical }) => physical.diskId))],
    window: joined(pieces), why: '',
  }
}

interface Piece {
  readonly physical: FoundPhysicalVolume
  readonly offset: number
  readonly length: number
}

/** The pieces one after the other; a read that goes over a seam is two. */
function joined(pieces: readonly Piece[]): Window {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const read: Window['read'] = async (offset, count) => {
    const isInside = Number.isSafeInteger(offset) && offset >= 0 && count > 0 &&
      count <= length - offset
    if (!isInside) return undefined
    const parts: Buffer[] = []
    let start = 0
    for (const piece of pieces) {
      const from = Math.max(offset, start)
      const to = Math.min(offset + count, start + piece.length)
      if (from < to) {
        const part = await piece.physical.window.read(piece.offset + from - start, to - from)
        if (part === undefined) return undefined
        parts.push(part)
      }
      start += piece.length
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }
  return { length, read }
}

function numberOf(value: LvmValue | undefined): number {
  return typeof value === 'number' ? value : NaN
}

function stringOf(value: LvmValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function listOf(value: LvmValue | undefined): readonly (number | string)[] {
  return Array.isArray(value) ? value : []
}
