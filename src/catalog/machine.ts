/**
 * A machine in portable words: what `/machine.json` of a restore point holds (DESIGN §6).
 *
 * Authoritative for restoring: a machine is rebuilt from this alone, never from a stored platform
 * definition. Every field is checked by `parseMachineDescription` when read back.
 */

export interface MachineDisk {
  /** `[a-z0-9._-]{1,64}`, the folder name under `/disks`. */
  readonly id: string
  readonly sizeBytes: number
  /** How the guest sees it. */
  readonly bus: 'virtio' | 'scsi' | 'sata' | 'ide' | 'nvme' | 'other'
  readonly serial?: string
  readonly logicalBlockBytes?: number
}

export interface MachineNic {
  readonly model: string
  readonly mac?: string
}

export interface MachineDescription {
  readonly version: 1
  readonly name: string
  /** The platform's own id of the machine, e.g. QEMU's UUID; absent if it states none. */
  readonly platformId?: string
  readonly platform: 'qemu' | 'libvirt' | 'vsphere' | 'hyperv' | 'host'
  readonly architecture: 'x86_64' | 'aarch64' | 'other'
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly firmware: 'bios' | 'uefi' | 'unknown'
  readonly disks: readonly MachineDisk[]
  readonly nics: readonly MachineNic[]
}

/** A file of `/platform`: the platform's own definition, stripped of secrets. */
export interface PlatformDocument {
  /** `[a-z0-9._-]{1,64}` */
  readonly name: string
  readonly text: string
}
