/**
 * A machine in portable words: what `/machine.json` of a point holds (docs/repository-format.md).
 *
 * Authoritative for restoring: a machine is rebuilt from this alone, never from a stored platform
 * definition. Every field is checked by `parseStoredMachine` when read back.
 */

import { z } from 'zod'
import { canonicalJson } from '../base/canonical-json.ts'
import { checked } from '../base/checked.ts'
import { parseJson } from '../base/json.ts'

export interface MachineDisk {
  /** As `PART_NAME`: the folder name under `/disks`. */
  readonly id: string
  readonly sizeBytes: number
  /** How the guest sees it. */
  readonly bus: 'virtio' | 'scsi' | 'sata' | 'ide' | 'nvme' | 'other'
  readonly serial?: string | undefined
  readonly logicalBlockBytes?: number | undefined
}

export interface MachineNic {
  readonly model: string
  readonly mac?: string | undefined
}

export interface MachineDescription {
  readonly version: 1
  readonly name: string
  /** The platform's own id of the machine, e.g. QEMU's UUID; absent if it states none. */
  readonly platformId?: string | undefined
  readonly platform: 'qemu' | 'libvirt' | 'vsphere' | 'hyperv' | 'host'
  readonly architecture: 'x86_64' | 'aarch64' | 'other'
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly firmware: 'bios' | 'uefi' | 'unknown'
  readonly disks: readonly MachineDisk[]
  readonly nics: readonly MachineNic[]
}

/** How a captured disk is cut in the repository; see `disk-layout.ts` there. */
export interface DiskCut {
  readonly chunkBytes: number
  readonly segmentBytes: number
}

/** `/machine.json`: the machine, its `disks` only those in the point, each with its cut. */
export interface StoredMachine extends Omit<MachineDescription, 'disks'> {
  readonly disks: readonly (MachineDisk & DiskCut)[]
}

/** A file of `/platform`: the platform's own definition, stripped of secrets. */
export interface PlatformDocument {
  /** `[a-z0-9._-]{1,64}` */
  readonly name: string
  readonly text: string
}

/** What a disk id and a document's name may look like. */
export const PART_NAME = /^[a-z0-9_-][a-z0-9._-]{0,63}$/

export const MAX_MACHINE_BYTES = 1024 * 1024
/** 160 TiB: what the layout of disks in the repository has names for. */
const MAX_DISK_BYTES = 160 * 2 ** 40
const MAX_DISKS = 1024

const text = z.string().max(256)
const count = z.int().min(0)
const powerOfTwo = z.int().min(512).max(2 ** 31).refine((n) => Math.log2(n) % 1 === 0, 'not 2^n')

const diskSchema = z.strictObject({
  id: z.string().regex(PART_NAME),
  sizeBytes: count.max(MAX_DISK_BYTES),
  bus: z.enum(['virtio', 'scsi', 'sata', 'ide', 'nvme', 'other']),
  serial: text.optional(),
  logicalBlockBytes: powerOfTwo.max(65_536).optional(),
  chunkBytes: powerOfTwo.max(8 * 1024 * 1024),
  segmentBytes: powerOfTwo,
})

const machineSchema = z.strictObject({
  version: z.literal(1),
  name: text.min(1),
  platformId: text.optional(),
  platform: z.enum(['qemu', 'libvirt', 'vsphere', 'hyperv', 'host']),
  architecture: z.enum(['x86_64', 'aarch64', 'other']),
  cpuCount: count.min(1).max(8192),
  memoryBytes: count,
  firmware: z.enum(['bios', 'uefi', 'unknown']),
  disks: z.array(diskSchema).max(MAX_DISKS)
    .refine((disks) => new Set(disks.map(({ id }) => id)).size === disks.length, 'ids repeat'),
  nics: z.array(z.strictObject({ model: text, mac: text.optional() })).max(256),
})

/** Reads `/machine.json`. Fault: `point-invalid`, naming `what`. */
export function parseStoredMachine(bytes: Uint8Array, what: string): StoredMachine {
  const limits = { maxBytes: MAX_MACHINE_BYTES, maxDepth: 8 }
  return checked(machineSchema, parseJson(bytes, what, 'point-invalid', limits), what,
    'point-invalid')
}

/**
 * The text of `/machine.json`: equal machines give equal bytes. Fault: `point-invalid` if the
 * machine is over the bounds, so that nothing is stored that could not be read back.
 */
export function encodeStoredMachine(machine: StoredMachine): string {
  return canonicalJson(checked(machineSchema, machine, 'machine.json', 'point-invalid'))
}
