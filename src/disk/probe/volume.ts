/** What a probe says of a disk. */

export type VolumeKind =
  | 'ext' | 'xfs' | 'btrfs' | 'vfat' | 'ntfs' | 'swap' | 'lvm2' | 'luks' | 'iso9660'
  | 'blank' // zeros wherever it was looked at
  | 'unknown'

/**
 * What the volume's own metadata says of the instant: `clean`: unmounted or frozen; `frozen`:
 * mounted and at rest, which a freeze brings about; `active`: cut while in use, needs its log
 * replayed; `unknown`: cannot be told from what was read.
 */
export type VolumeActivity = 'clean' | 'frozen' | 'active' | 'unknown'

/** What one volume holds. Strings are as found on the disk, hostile: see `printable`. */
export interface Recognised {
  readonly kind: VolumeKind
  readonly uuid?: string
  readonly label?: string
  readonly activity: VolumeActivity
  /** One sentence on what the activity rests on, or what else was seen. */
  readonly detail: string
}

export interface ProbedVolume extends Recognised {
  /** The partition's number as Linux counts; absent for a whole disk. */
  readonly partition?: number
  readonly offset: number
  /** Clipped to the disk. */
  readonly length: number
  /** GPT: the type's GUID in lower case; MBR: `0x` and two hexadecimal digits. */
  readonly partitionType?: string
}

export interface DiskProbe {
  readonly table: 'gpt' | 'mbr' | 'none'
  readonly volumes: readonly ProbedVolume[]
}
