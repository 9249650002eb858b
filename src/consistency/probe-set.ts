/** Looks at the captured disks for the file systems that the grade has to account for. */

import { isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import {
  probeDisk, probeMapped, type BlockSource, type MappedProbe, type MappedVolume,
  type PhysicalPlace, type ProbedVolume as FoundVolume, type Recognised, type VolumeActivity,
} from '../disk/mod.ts'
import { EVIDENCE_MAX } from './evidence-codec.ts'
import type { ProbeEvidence, VolumeEvidence } from './evidence.ts'

export interface SetProbe {
  readonly probes: readonly ProbeEvidence[]
  readonly volumes: readonly VolumeEvidence[]
}

/** EFI system partitions: GPT type GUID, and MBR type (UEFI 2.10 §5.2.2, §5.3.3). */
const ESP_TYPES = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']
/**
 * Partitions that hold boot code or are kept free, and no file system: BIOS boot, PowerPC PReP
 * (GPT and MBR), Microsoft reserved.
 */
const BOOT_CODE_TYPES = [
  '21686148-6449-6e6f-744e-656564454649', '9e1a2d38-c612-4316-aa26-8b49521e5a8b', '0x41',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae',
]

/**
 * Probes each disk, a few megabytes at most. A disk that cannot be probed is recorded with the
 * reason, and no fault unless the signal aborted or the instant is gone.
 */
export async function probeSet(
  disks: readonly { readonly id: string; readonly source: BlockSource }[],
  signal: AbortSignal,
): Promise<SetProbe> {
  const probes: ProbeEvidence[] = []
  const found: FoundOnDisk[] = []
  const physical: PhysicalPlace[] = []
  for (const { id, source } of disks) {
    try {
      for (const volume of (await probeDisk(source, signal)).volumes) {
        if (mayHoldData(volume)) found.push({ diskId: id, volume })
        if (volume.kind === 'lvm2') physical.push({ diskId: id, source, volume })
      }
      probes.push({ diskId: id, state: 'probed' })
    } catch (error) {
      probes.push({ diskId: id, state: 'failed', reason: whyNotProbed(error, signal) })
    }
  }
  const mapped = await probeLvm(physical, signal)
  return withinBounds(probes, [
    ...found.filter(({ volume }) => !mapped.explained.has(volume))
      .map(({ diskId, volume }) => toEvidence(diskId, volume)),
    ...mapped.volumes.filter(mayHoldData).map(mappedEvidence),
  ])
}

interface FoundOnDisk {
  readonly diskId: string
  readonly volume: FoundVolume
}

/** Rethrows what is no fault of the disk. */
function whyNotProbed(error: unknown, signal: AbortSignal): string {
  if (signal.aborted || !isFault(error, 'disk-unreadable', 'out-of-range')) throw error
  return printable(error.message)
}

/** What cannot be read is not explained: the physical volumes stay what they are, opaque. */
async function probeLvm(
  physical: readonly PhysicalPlace[], signal: AbortSignal): Promise<MappedProbe> {
  try {
    return await probeMapped(physical, signal)
  } catch (error) {
    whyNotProbed(error, signal)
    return { volumes: [], explained: new Set() }
  }
}

/** A part of a disk's volumes would prove too little, and all could not be read back. */
function withinBounds(
  probes: readonly ProbeEvidence[], volumes: readonly VolumeEvidence[]): SetProbe {
  const kept: VolumeEvidence[] = []
  const failed = new Map<string, string>()
  for (const { diskId } of probes) {
    const own = volumes.filter(({ diskIds }) => diskIds[0] === diskId)
    if (kept.length + own.length <= EVIDENCE_MAX.volumes) kept.push(...own)
    else failed.set(diskId, `its ${own.length} volumes are more than can be kept`)
  }
  return {
    probes: probes.map((probe) => {
      const reason = failed.get(probe.diskId)
      return reason === undefined ? probe : { diskId: probe.diskId, state: 'failed', reason }
    }),
    volumes: kept,
  }
}

/** What is found in a partition counts for more than its type, and nothing for nothing. */
function mayHoldData(
  { kind, partitionType }: Pick<FoundVolume, 'kind' | 'partitionType'>): boolean {
  if (kind === 'unknown') return !BOOT_CODE_TYPES.includes(partitionType ?? '')
  return kind !== 'blank'
}

function toEvidence(diskId: string, volume: FoundVolume): VolumeEvidence {
  return {
    diskIds: [diskId],
    where: volume.partition === undefined ? 'whole disk' : `partition ${volume.partition}`,
    layer: volume.partition === undefined ? 'disk' : 'partition',
    partition: volume.partition ?? null,
    ...contentsOf(volume),
  }
}

function mappedEvidence(volume: MappedVolume): VolumeEvidence {
  return {
    diskIds: volume.diskIds, where: printable(`LVM ${volume.name}`, 200), layer: 'mapped',
    partition: null, ...contentsOf(volume),
  }
}

function contentsOf(volume: Recognised & Pick<FoundVolume, 'partitionType'>): Pick<
  VolumeEvidence, 'type' | 'role' | 'sign' | 'hibernation' | 'detail'> {
  return {
    type: volume.kind,
    role: roleOf(volume),
    sign: signOf(volume),
    hibernation: volume.kind === 'swap' ? HIBERNATION[volume.activity] : 'unknown',
    detail: printable(volume.detail),
  }
}

const SIGNS: Readonly<Record<VolumeActivity, VolumeEvidence['sign']>> = {
  clean: 'clean',
  frozen: 'frozen',
  active: 'in-use',
  unknown: 'silent',
}

/** What swap's activity says: `active` means that a machine's memory is in it. */
const HIBERNATION: Readonly<Record<VolumeActivity, VolumeEvidence['hibernation']>> = {
  clean: 'none',
  frozen: 'unknown',
  active: 'present',
  unknown: 'unknown',
}

/** What a freeze leaves of NTFS's marks is not known: an open log contradicts none. */
function signOf({ kind, activity }: Recognised): VolumeEvidence['sign'] {
  return kind === 'ntfs' && activity === 'active' ? 'silent' : SIGNS[activity]
}

function roleOf(
  volume: Pick<FoundVolume, 'kind' | 'partitionType'>): VolumeEvidence['role'] {
  switch (volume.kind) {
    case 'swap':
      return 'swap'
    case 'lvm2':
    case 'luks':
    case 'blank': // left out before
    case 'unknown':
      return 'opaque'
    case 'ext':
    case 'xfs':
    case 'btrfs':
    case 'vfat':
    case 'ntfs':
    case 'iso9660':
      return ESP_TYPES.includes(volume.partitionType ?? '') ? 'esp' : 'file-system'
    default:
      return volume.kind satisfies never
  }
}
