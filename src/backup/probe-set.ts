/** Looks at the captured disks for the file systems that the grade has to account for. */

import { isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { EVIDENCE_MAX, type ProbeEvidence, type VolumeEvidence } from '../consistency/mod.ts'
import {
  probeDisk, type BlockSource, type ProbedVolume as FoundVolume, type VolumeActivity,
} from '../disk/mod.ts'

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
  const volumes: VolumeEvidence[] = []
  for (const { id, source } of disks) {
    try {
      const found = await probeDisk(source, signal)
      const kept = found.volumes.filter(mayHoldData).map((volume) => toEvidence(id, volume))
      // A part of them would prove too little, and all of them could not be read back.
      if (volumes.length + kept.length > EVIDENCE_MAX.volumes) {
        probes.push({ diskId: id, state: 'failed',
          reason: `its ${kept.length} volumes are more than can be kept` })
        continue
      }
      volumes.push(...kept)
      probes.push({ diskId: id, state: 'probed' })
    } catch (error) {
      if (signal.aborted || !isFault(error, 'disk-unreadable', 'out-of-range')) throw error
      probes.push({ diskId: id, state: 'failed', reason: printable(error.message) })
    }
  }
  return { probes, volumes }
}

/** What is found in a partition counts for more than its type, and nothing for nothing. */
function mayHoldData({ kind, partitionType }: FoundVolume): boolean {
  if (kind === 'unknown') return !BOOT_CODE_TYPES.includes(partitionType ?? '')
  return kind !== 'blank'
}

function toEvidence(diskId: string, volume: FoundVolume): VolumeEvidence {
  return {
    diskIds: [diskId],
    where: volume.partition === undefined ? 'whole disk' : `partition ${volume.partition}`,
    layer: volume.partition === undefined ? 'disk' : 'partition',
    partition: volume.partition ?? null,
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
function signOf({ kind, activity }: FoundVolume): VolumeEvidence['sign'] {
  return kind === 'ntfs' && activity === 'active' ? 'silent' : SIGNS[activity]
}

function roleOf(volume: FoundVolume): VolumeEvidence['role'] {
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
