import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentDiskAddress } from '../guardian/agent-file-systems.ts'
import { diskIdsAt, type DiskAddress } from './disk-addresses.ts'

const disk = (id: string, more: Partial<DiskAddress>): DiskAddress => ({
  id, bus: 'virtio', serial: undefined, pci: undefined, target: undefined, lun: undefined, ...more,
})
const at = (slot: number, more: Partial<AgentDiskAddress> = {}): AgentDiskAddress => ({
  busType: 'virtio', serial: undefined, bus: 0, target: 0, unit: 0,
  pci: { domain: 0, bus: 0, slot, function: 0 }, ...more })
const pci = (slot: number): NonNullable<DiskAddress['pci']> => ({ bus: 0, slot, function: 0 })

const DISKS = [
  disk('vda', { pci: pci(4) }),
  disk('vdb', { pci: pci(5), serial: 'a-serial-of-more-than-twenty' }),
  disk('sda', { bus: 'scsi', pci: pci(6), target: 0, lun: 0 }),
  disk('sdb', { bus: 'scsi', pci: pci(6), target: 0, lun: 1 }),
  disk('ata', { bus: 'sata', pci: pci(7) }),
  disk('x', { serial: 'twice' }), disk('y', { serial: 'twice' }),
]

test('disks are found by serial, by PCI address, and by unit on a SCSI controller', () => {
  const rows: readonly (readonly [readonly AgentDiskAddress[], readonly string[]])[] = [
    [[at(4)], ['vda']],
    [[at(4), at(5), at(4)], ['vda', 'vdb']],
    [[at(99, { serial: 'a-serial-of-more-tha' })], ['vdb']],
    [[at(6, { unit: 1 })], ['sdb']],
    [[at(6, { unit: 2 })], []],
    [[at(7)], []], // the port is not told: rather unknown than wrong
    [[at(99)], []],
    [[at(99, { serial: 'twice' })], []],
    [[], []],
  ]
  for (const [addresses, ids] of rows) assert.deepEqual(diskIdsAt(addresses, DISKS), ids)
})
