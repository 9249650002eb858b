import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MachineDescription, MachineDisk } from '../../catalog/mod.ts'
import { diskPlaces, machineSpec } from './machine-spec.ts'
import { childrenOf, parseXml, textAt, type XmlElement } from '../../base/xml.ts'
import { typeOf } from './vim/values.ts'

const disk = (id: string, bus: MachineDisk['bus'], sizeBytes = 2 ** 20): MachineDisk =>
  ({ id, bus, sizeBytes })
const MACHINE: MachineDescription = {
  version: 1, name: 'a & <b>', platform: 'qemu', architecture: 'x86_64', cpuCount: 2,
  memoryBytes: 2 ** 30 + 1, firmware: 'uefi', nics: [{ model: 'virtio', mac: '02:00:00:00:00:01' }],
  disks: [disk('vda', 'virtio', 1025), disk('sata0-3', 'sata'), disk('n', 'nvme')],
}

function parsed(spec: string): XmlElement {
  return parseXml(
    `<config xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">${spec}</config>`, 'it',
    'platform-protocol')
}

test('disks keep their order, each at the first controller of a bus that vSphere has', () => {
  const places = diskPlaces(Array.from({ length: 9 }, (_, n) => disk(`d${n}`, n === 8 ? 'sata'
    : n % 2 === 0 ? 'ide' : 'scsi')))
  assert.deepEqual([...places.values()].map(({ bus, unit }) => `${bus}${unit}`), [
    'scsi0', 'scsi1', 'scsi2', 'scsi3', 'scsi4', 'scsi5', 'scsi6', 'scsi8', 'sata0'])
})

test('a machine is described by what is allowed alone, and its texts are no XML', () => {
  const spec = parsed(machineSpec(
    { name: 'x</name><extraConfig/>', notes: '<&>', datastore: 'd&s' }, MACHINE))
  assert.equal(textAt(spec, 'name'), 'x</name><extraConfig/>')
  assert.deepEqual([...new Set(spec.children.map(({ name }) => name))],
    ['name', 'guestId', 'annotation', 'files', 'numCPUs', 'memoryMB', 'deviceChange', 'firmware'])
  assert.deepEqual([textAt(spec, 'numCPUs'), textAt(spec, 'memoryMB'), textAt(spec, 'firmware')],
    ['2', '1028', 'efi'])
  assert.equal(textAt(spec, 'files', 'vmPathName'), '[d&s]')
  const devices = childrenOf(spec, 'deviceChange').map((it) => childrenOf(it, 'device')[0])
  assert.deepEqual(devices.map((device) => typeOf(device)), [
    'VirtualLsiLogicSASController', 'VirtualAHCIController', 'VirtualNVMEController',
    'VirtualDisk', 'VirtualDisk', 'VirtualDisk'])
  assert.deepEqual(devices.slice(3).map((device) => textAt(device, 'capacityInKB')),
    ['2', '1024', '1024'])
})
