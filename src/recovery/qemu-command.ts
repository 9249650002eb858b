/**
 * A command line that runs a restored machine in QEMU. It is built from an allow-list over
 * machine.json alone, never from the platform's stored definition, which a guest or host may have
 * shaped: no device, file or address of the old host is taken over.
 */

import type { MachineDisk, StoredMachine } from '../catalog/mod.ts'
import type { RestoredDisk } from './restored-disk.ts'

const MIB = 1024 * 1024
/** Less does not boot a Linux of today; more than this host has fails at the start, plainly. */
const MIN_MEMORY_MIB = 64
/** What QEMU's q35 and virt machines take. */
const MAX_CPUS = 255
const MAX_NICS = 8
/** Of one ich9-ahci. */
const SATA_PORTS = 6
const NIC_MODELS = ['virtio-net-pci', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3']
/** Where Debian's packages ovmf and qemu-efi-aarch64 put their firmware. */
const UEFI = {
  x86_64: '/usr/share/ovmf/OVMF.fd',
  aarch64: '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd',
}

/**
 * The program and its arguments; nothing where QEMU cannot be told from the description what to
 * be. Disks are written to as the machine runs. Its network cards lead nowhere (`restrict=on`):
 * two machines of one name in one network are the operator's decision.
 */
export function qemuCommandFor(
  machine: StoredMachine, disks: readonly RestoredDisk[]): readonly string[] | undefined {
  const { architecture, firmware, cpuCount, memoryBytes } = machine
  if (architecture === 'other') return undefined
  const memoryMib = Math.max(MIN_MEMORY_MIB, Math.round(memoryBytes / MIB))
  return [
    `qemu-system-${architecture}`,
    '-name', plain(machine.name) || 'restored',
    ...(architecture === 'x86_64' ? ['-machine', 'q35'] : ['-machine', 'virt', '-cpu', 'max']),
    '-accel', 'kvm', '-accel', 'tcg',
    '-smp', String(Math.min(cpuCount, MAX_CPUS)), '-m', String(memoryMib),
    '-nodefaults', '-no-user-config',
    ...(firmware === 'uefi' || architecture === 'aarch64' ? ['-bios', UEFI[architecture]] : []),
    ...(architecture === 'x86_64' ? ['-vga', 'std'] : ['-device', 'virtio-gpu-pci']),
    ...controllers(machine.disks.length),
    ...machine.disks.flatMap((disk, index) => diskArguments(disk, disks, index)),
    ...machine.nics.slice(0, MAX_NICS).flatMap(({ model, mac }, index) => [
      '-netdev', `user,id=net${index},restrict=on`, '-device', nicDevice(model, mac, index),
    ]),
  ]
}

function diskArguments(
  disk: MachineDisk, restored: readonly RestoredDisk[], index: number): readonly string[] {
  const file = restored.find(({ id }) => id === disk.id)
  if (file === undefined) return []
  const node = `disk${index}`
  const blockdev = {
    driver: file.format, 'node-name': node,
    file: { driver: 'file', 'node-name': `${node}-file`, filename: file.path },
  }
  return ['-blockdev', JSON.stringify(blockdev), '-device', diskDevice(disk, node, index)]
}

/** SATA stands in for IDE and the unknown: every system of the last twenty years has a driver. */
function diskDevice(disk: MachineDisk, node: string, index: number): string {
  const serial = plain(disk.serial ?? '').slice(0, 20)
  const { logicalBlockBytes: block = 512 } = disk
  const common = [
    `drive=${node}`, `bootindex=${index}`, ...(serial === '' ? [] : [`serial=${serial}`]),
    ...(block === 512 ? [] : [`logical_block_size=${block}`, `physical_block_size=${block}`]),
  ]
  switch (disk.bus) {
    case 'virtio':
      return ['virtio-blk-pci', ...common].join(',')
    case 'scsi':
      return ['scsi-hd', 'bus=scsi.0', ...common].join(',')
    case 'nvme':
      return ['nvme', ...common, ...(serial === '' ? [`serial=${node}`] : [])].join(',')
    case 'sata':
    case 'ide':
    case 'other':
      return ['ide-hd', `bus=${sataPort(index)}`, ...common].join(',')
    default:
      return disk.bus satisfies never
  }
}

function sataPort(index: number): string {
  return `sata${Math.floor(index / SATA_PORTS)}.${index % SATA_PORTS}`
}

function controllers(diskCount: number): readonly string[] {
  const sata = Array.from({ length: Math.ceil(diskCount / SATA_PORTS) }, (_, n) => `sata${n}`)
  return [
    '-device', 'virtio-scsi-pci,id=scsi',
    ...sata.flatMap((id) => ['-device', `ich9-ahci,id=${id}`]),
  ]
}

function nicDevice(model: string, mac: string | undefined, index: number): string {
  const known = NIC_MODELS.includes(model) ? model : 'e1000e'
  const isMac = mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)
  return [known, `netdev=net${index}`, ...(isMac ? [`mac=${mac}`] : [])].join(',')
}

/** What may stand in a QEMU option as it is. */
function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9_.-]/g, '').replace(/^-+/, '').slice(0, 64)
}

/** The command as a line for a POSIX shell, to be shown and copied. */
export function shellLine(command: readonly string[]): string {
  return command
    .map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', `'\\''`)}'`)
    .join(' ')
}
