/** FAT (Microsoft's FAT specification 1.03: boot sector, and the marks in FAT[1]). */

import { cString, names } from './text.ts'
import type { Recognised } from './volume.ts'

interface Layout {
  readonly bits: 12 | 16 | 32
  /** Where serial and label, the type's name and Linux's mark "in use" stand in the boot sector. */
  readonly serial: number
  readonly mark: number
  readonly fatOffset: number
}

export function recogniseVfat(head: Buffer): Recognised | undefined {
  const layout = layoutOf(head)
  if (layout === undefined) return undefined
  const { serial: at } = layout
  const serial = head.readUInt32LE(at).toString(16).padStart(8, '0').toUpperCase()
  const label = cString(head.subarray(at + 4, at + 15))
  return {
    kind: 'vfat',
    ...names(`${serial.slice(0, 4)}-${serial.slice(4)}`, label === 'NO NAME' ? undefined : label),
    ...activityOf(head, layout),
  }
}

function layoutOf(head: Buffer): Layout | undefined {
  if (head.length < 512 || head.readUInt16LE(510) !== 0xaa55) return undefined
  const sectorBytes = head.readUInt16LE(11)
  const clusterSectors = head.readUInt8(13)
  const reserved = head.readUInt16LE(14)
  const fats = head.readUInt8(16)
  const isPlausible = [512, 1024, 2048, 4096].includes(sectorBytes) &&
    clusterSectors > 0 && Number.isInteger(Math.log2(clusterSectors)) &&
    reserved > 0 && fats > 0 && fats <= 4 && head.readUInt8(21) >= 0xf0
  if (!isPlausible) return undefined
  const fatOffset = reserved * sectorBytes
  if (head.readUInt16LE(22) === 0) {
    const isNamed = head.toString('latin1', 82, 87) === 'FAT32'
    return isNamed ? { bits: 32, serial: 67, mark: 65, fatOffset } : undefined
  }
  switch (head.toString('latin1', 54, 59)) {
    case 'FAT12':
      return { bits: 12, serial: 39, mark: 37, fatOffset }
    case 'FAT16':
      return { bits: 16, serial: 39, mark: 37, fatOffset }
    default:
      return undefined
  }
}

/**
 * Linux marks the boot sector while it is mounted for writing, Windows takes a bit out of FAT[1]
 * while something is being written (FAT12 has no such bit).
 */
function activityOf(
  head: Buffer, { bits, mark, fatOffset }: Layout): Pick<Recognised, 'activity' | 'detail'> {
  if ((head.readUInt8(mark) & 1) !== 0) {
    return { activity: 'active', detail: 'marked as in use in the boot sector' }
  }
  if (bits === 12) return { activity: 'unknown', detail: 'FAT12, not marked in the boot sector' }
  if (head.length < fatOffset + 8) return { activity: 'unknown', detail: 'the FAT was not read' }
  const isShut = bits === 32
    ? (head.readUInt32LE(fatOffset + 4) & 0x0800_0000) !== 0
    : (head.readUInt16LE(fatOffset + 2) & 0x8000) !== 0
  return isShut
    ? { activity: 'clean', detail: `FAT${bits}, marked as cleanly shut` }
    : { activity: 'active', detail: `FAT${bits}, not marked as cleanly shut` }
}
