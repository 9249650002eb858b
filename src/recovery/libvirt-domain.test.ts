import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredMachine } from '../catalog/mod.ts'
import { childAt, childrenOf, parseXml } from '../base/xml.ts'
import { libvirtDomainFor } from './libvirt-domain.ts'

const CUT = { chunkBytes: 524_288, segmentBytes: 2 ** 28 }
const machine = (more: Partial<StoredMachine> = {}): StoredMachine => ({
  version: 1, name: 'db1', platform: 'libvirt', architecture: 'x86_64', cpuCount: 2,
  memoryBytes: 2 ** 30, firmware: 'bios', nics: [],
  disks: [
    { id: 'vda', sizeBytes: 2 ** 30, bus: 'virtio', serial: 'S1', ...CUT },
    { id: 'sda', sizeBytes: 2 ** 30, bus: 'scsi', logicalBlockBytes: 4096, ...CUT },
    { id: 'nv', sizeBytes: 2 ** 30, bus: 'nvme', ...CUT },
  ], ...more })
const restored = (machine: StoredMachine): Parameters<typeof libvirtDomainFor>[1] =>
  machine.disks.map(({ id, sizeBytes }) =>
    ({ id, path: `/r/${id}.qcow2`, format: 'qcow2' as const, sizeBytes }))

test('a machine is defined anew, its disks on their buses and its network unplugged', () => {
  const it = machine({ nics: [{ model: 'virtio-net-pci', mac: '52:54:00:00:00:01' }] })
  const xml = parseXml(libvirtDomainFor(it, restored(it), undefined) ?? '', 'it', 'point-invalid')
  assert.equal(childAt(xml, 'name')?.text, 'db1-restored')
  assert.equal(childAt(xml, 'uuid'), undefined)
  const devices = childAt(xml, 'devices')
  assert.deepEqual(childrenOf(devices, 'disk').map((disk) => [
    childAt(disk, 'source')?.attributes.get('file'), childAt(disk, 'target')?.attributes.get('dev'),
    childAt(disk, 'target')?.attributes.get('bus'), childAt(disk, 'serial')?.text]), [
    ['/r/vda.qcow2', 'vda', 'virtio', 'S1'], ['/r/sda.qcow2', 'sda', 'scsi', undefined],
    ['/r/nv.qcow2', 'sdb', 'sata', undefined]])
  const nic = childAt(devices, 'interface')
  assert.equal(childAt(nic, 'link')?.attributes.get('state'), 'down')
  assert.equal(childAt(nic, 'model')?.attributes.get('type'), 'virtio')
})

test('UEFI keeps its variables, and an unknown architecture is not guessed', () => {
  const it = machine({ firmware: 'uefi' })
  const xml = parseXml(libvirtDomainFor(it, restored(it), '/r/nvram.fd') ?? '', 'it',
    'point-invalid')
  assert.equal(childAt(xml, 'os')?.attributes.get('firmware'), 'efi')
  assert.equal(childAt(xml, 'os', 'nvram')?.text, '/r/nvram.fd')
  assert.equal(libvirtDomainFor(machine({ architecture: 'other' }), [], undefined), undefined)
})

test('nothing of a hostile description becomes more than a word', () => {
  const evil = `x'/><hostdev a='"&`
  const it = machine({ name: evil, nics: [{ model: evil, mac: evil }],
    disks: [{ id: 'vda', sizeBytes: 512, bus: 'virtio', serial: evil, ...CUT }] })
  const text = libvirtDomainFor(it, [{ id: 'vda', path: `/r/${evil}`, format: 'raw',
    sizeBytes: 512 }], `/r/${evil}`) ?? ''
  const devices = childAt(parseXml(text, 'it', 'point-invalid'), 'devices')
  assert.deepEqual(childrenOf(devices, 'hostdev'), [])
  assert.equal(childAt(devices, 'disk', 'source')?.attributes.get('file'), `/r/${evil}`)
})
