import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredMachine } from '../catalog/mod.ts'
import { qemuCommandFor, shellLine } from './qemu-command.ts'
import type { RestoredDisk } from './restored-disk.ts'

const cut = { chunkBytes: 524_288, segmentBytes: 2 ** 28 }

const machine: StoredMachine = {
  version: 1, name: 'db1', platform: 'libvirt', architecture: 'x86_64', cpuCount: 4,
  memoryBytes: 2 ** 31, firmware: 'bios',
  disks: [
    { id: 'vda', sizeBytes: 1, bus: 'virtio', serial: 'root-1', ...cut },
    { id: 'sda', sizeBytes: 1, bus: 'scsi', logicalBlockBytes: 4096, ...cut },
    { id: 'hda', sizeBytes: 1, bus: 'ide', ...cut },
    { id: 'nvme0', sizeBytes: 1, bus: 'nvme', ...cut },
  ],
  nics: [
    { model: 'virtio-net-pci', mac: '52:54:00:12:34:56' }, { model: 'tap,script=/x', mac: 'x,y' }],
}

const restored = (...ids: readonly string[]): RestoredDisk[] =>
  ids.map((id) => ({ id, path: `/restore/${id},x.qcow2`, format: 'qcow2', sizeBytes: 1 }))

test('each disk is attached as the guest knew it, its format given', () => {
  const command = qemuCommandFor(machine, restored('vda', 'sda', 'hda', 'nvme0')) ?? assert.fail()
  assert.equal(command[0], 'qemu-system-x86_64')
  const devices = command.filter((_, i) => command[i - 1] === '-device')
  assert.deepEqual(devices.filter((device) => device.includes('drive=')), [
    'virtio-blk-pci,drive=disk0,bootindex=0,serial=root-1',
    'scsi-hd,bus=scsi.0,drive=disk1,bootindex=1,logical_block_size=4096,physical_block_size=4096',
    'ide-hd,bus=sata0.2,drive=disk2,bootindex=2',
    'nvme,drive=disk3,bootindex=3,serial=disk3',
  ])
  const [first] = command.filter((_, i) => command[i - 1] === '-blockdev')
  assert.deepEqual(JSON.parse(first ?? ''), {
    driver: 'qcow2', 'node-name': 'disk0',
    file: { driver: 'file', 'node-name': 'disk0-file', filename: '/restore/vda,x.qcow2' },
  })
})

test('no card reaches a network, and unknown models and addresses are not taken over', () => {
  const command = qemuCommandFor(machine, []) ?? assert.fail()
  assert.deepEqual(command.slice(command.indexOf('-netdev')), [
    '-netdev', 'user,id=net0,restrict=on', '-device',
    'virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56',
    '-netdev', 'user,id=net1,restrict=on', '-device', 'e1000e,netdev=net1',
  ])
})

test('a disk that was not restored is not attached', () => {
  const command = qemuCommandFor(machine, restored('sda')) ?? assert.fail()
  assert.equal(command.filter((word) => word === '-blockdev').length, 1)
})

test('what a description says cannot become an option', () => {
  const evil = '-x,file=/etc/passwd'
  const command = qemuCommandFor({
    ...machine, name: evil, cpuCount: 8000, memoryBytes: 0,
    disks: [{ id: 'vda', sizeBytes: 1, bus: 'virtio', serial: evil, ...cut }],
  }, restored('vda')) ?? assert.fail()
  assert.equal(command[command.indexOf('-name') + 1], 'xfileetcpasswd')
  assert.equal(command[command.indexOf('-smp') + 1], '255')
  assert.equal(command[command.indexOf('-m') + 1], '64')
  assert.ok(command.includes('virtio-blk-pci,drive=disk0,bootindex=0,serial=xfileetcpasswd'))
})

test('UEFI machines get firmware, ARM machines their own, unknown ones nothing', () => {
  const bios = (changed: Partial<StoredMachine>): string | undefined => {
    const command = qemuCommandFor({ ...machine, ...changed }, []) ?? []
    return command.includes('-bios') ? command[command.indexOf('-bios') + 1] : undefined
  }
  assert.equal(bios({}), undefined)
  assert.match(bios({ firmware: 'uefi' }) ?? '', /OVMF/)
  assert.match(bios({ architecture: 'aarch64' }) ?? '', /QEMU_EFI/)
  assert.equal(qemuCommandFor({ ...machine, architecture: 'other' }, []), undefined)
})

test('the line for a shell is quoted', () => {
  assert.equal(shellLine(['a', '-b', '{"c": 1}', 'it\'s', '$x']), `a -b '{"c": 1}' 'it'\\''s' '$x'`)
})
