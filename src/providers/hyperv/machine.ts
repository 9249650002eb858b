/** A machine of Hyper-V in our words: its disks, its power, what kind of guest it has. */

import type { MachineDescription } from '../../catalog/mod.ts'
import type { DiskLeftOut, PowerState } from '../../consistency/mod.ts'
import type { FoundDisks } from '../machine/choose-disks.ts'
import type { HypervDrive, HypervMachine } from './host-answers.ts'

export interface HypervDisk {
  /** By where it is plugged in: `scsi0-1`. */
  readonly id: string
  readonly sizeBytes: number
  readonly bus: 'scsi' | 'ide'
  /** The file that the machine writes to, and what is below it. */
  readonly chain: readonly string[]
  /** The virtual disk's own id, which stays through checkpoints. */
  readonly diskId: string
}

export function disksOf(machine: HypervMachine): FoundDisks<HypervDisk> {
  const disks: HypervDisk[] = []
  const leftOut: DiskLeftOut[] = []
  for (const drive of machine.disks) {
    const id = idOf(drive)
    const [first] = drive.chain
    if (drive.isPassThrough) {
      leftOut.push({ id, reason: 'pass-through', detail: 'a disk of the host (VMMS 10107)' })
    } else if (first === undefined) {
      leftOut.push({ id, reason: 'empty', detail: 'no virtual disk is in it' })
    } else if (drive.isShared) {
      leftOut.push({ id, reason: 'unsupported',
        detail: 'a disk shared by machines is not in checkpoints (VMMS 10169)' })
    } else if (first.id === null || first.sizeBytes === 0) {
      leftOut.push({ id, reason: 'unsupported', detail: 'its file cannot be opened' })
    } else {
      disks.push({ id, sizeBytes: first.sizeBytes, chain: drive.chain.map(({ path }) => path),
        bus: drive.controller.toUpperCase() === 'IDE' ? 'ide' : 'scsi',
        diskId: first.id.toLowerCase() })
    }
  }
  return { disks, leftOut }
}

function idOf({ controller, number, location }: HypervDrive): string {
  const kind = controller.toUpperCase() === 'IDE' ? 'ide' : 'scsi'
  return `${kind}${number}-${Math.max(0, location)}`
}

export function powerOf({ state }: Pick<HypervMachine, 'state'>): PowerState {
  switch (state) {
    case 'Off': return 'off'
    case 'Saved': case 'FastSaved': return 'saved'
    case 'Paused': return 'paused'
    default: return 'running'
  }
}

/** What the guest itself told the host; undefined where it told nothing. */
export function guestKind({ guestOs }: HypervMachine): 'windows' | 'linux' | undefined {
  if (guestOs === null || guestOs.trim() === '') return undefined
  return /windows/i.test(guestOs) ? 'windows' : 'linux'
}

/** Services by their id, since names are in the host's language. */
const SERVICES = {
  vss: '5ced1297-4598-4915-a5fc-ad21bb4d02a4',
  heartbeat: '84eaae65-2f2e-45f5-9bb5-0e857dc8eb47',
} as const

export function serviceOf(
  { services }: HypervMachine, name: keyof typeof SERVICES,
): HypervMachine['services'][number] | undefined {
  return services.find(({ id }) => id.toLowerCase() === SERVICES[name])
}

export function describe(machine: HypervMachine): MachineDescription {
  return {
    version: 1, name: machine.name.slice(0, 256), platformId: machine.id, platform: 'hyperv',
    architecture: 'x86_64', cpuCount: Math.max(1, Math.min(8192, machine.cpuCount)),
    memoryBytes: machine.memoryBytes, firmware: machine.generation >= 2 ? 'uefi' : 'bios',
    disks: disksOf(machine).disks.map(({ id, sizeBytes, bus }) => ({ id, sizeBytes, bus })),
    nics: machine.nics.map(({ mac, isLegacy }) => ({
      model: isLegacy ? 'tulip' : 'virtio-net-pci',
      ...isMac(mac) ? { mac: colons(mac) } : {} })),
  }
}

function isMac(text: string): boolean {
  return /^[0-9A-Fa-f]{12}$/.test(text) && !/^0+$/.test(text)
}

function colons(text: string): string {
  return text.toLowerCase().replace(/..(?=.)/g, '$&:')
}
