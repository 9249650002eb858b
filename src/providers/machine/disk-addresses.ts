/** Joins the guest's addresses of disks with the machine's disks, those left out among them. */

import type { MachineDisk } from '../../catalog/mod.ts'
import type { AgentDiskAddress } from '../guardian/agent-file-systems.ts'

/** Where a device sits among the guest's PCI devices. */
export interface PciAddress {
  readonly bus: number
  readonly slot: number
  readonly function: number
}

/** Where the guest sees a disk, captured or not. */
export interface DiskAddress {
  /** Stable over runs as long as the machine's definition is. */
  readonly id: string
  readonly bus: MachineDisk['bus']
  readonly serial: string | undefined
  readonly pci: PciAddress | undefined
  readonly target: number | undefined
  readonly lun: number | undefined
}

/**
 * The ids of the disks at the guest's addresses, each once, in order; an address that fits none or
 * several is left out. The guest's word decides nothing but which disks are named in the evidence.
 */
export function diskIdsAt(
  addresses: readonly AgentDiskAddress[], disks: readonly DiskAddress[]): readonly string[] {
  const ids = addresses.flatMap((address) => {
    const found = bySerial(address, disks) ?? byAddress(address, disks)
    return found === undefined ? [] : [found.id]
  })
  return [...new Set(ids)]
}

/** QEMU cuts serials to 20 characters for virtio; the guest tells what it was given. */
function bySerial(
  address: AgentDiskAddress, disks: readonly DiskAddress[]): DiskAddress | undefined {
  const { serial } = address
  if (serial === undefined || serial === '') return undefined
  return only(disks.filter((disk) => disk.serial !== undefined &&
    (disk.serial === serial || disk.serial.slice(0, 20) === serial)))
}

function byAddress(
  address: AgentDiskAddress, disks: readonly DiskAddress[]): DiskAddress | undefined {
  const { pci } = address
  return only(disks.filter((disk) => {
    if (disk.pci === undefined) return false
    const isThere = disk.pci.bus === pci.bus && disk.pci.slot === pci.slot &&
      disk.pci.function === pci.function
    if (!isThere) return false
    if (disk.bus !== 'scsi') return disk.bus === 'virtio' || disk.bus === 'nvme'
    return disk.target === address.target && disk.lun === address.unit
  }))
}

function only<T>(found: readonly T[]): T | undefined {
  return found.length === 1 ? found[0] : undefined
}
