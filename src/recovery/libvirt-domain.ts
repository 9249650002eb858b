/**
 * A definition that runs a restored machine in libvirt. As with `qemuCommandFor` it is built from
 * an allow-list over machine.json alone: no device, file or address of the old host is taken over.
 */

import type { MachineDisk, StoredMachine } from '../catalog/mod.ts'
import { escapeXml } from '../base/xml.ts'
import type { RestoredDisk } from './restored-disk.ts'

const MIB = 1024 * 1024
const MIN_MEMORY_MIB = 64
const MAX_CPUS = 255
const MAX_NICS = 8
/** libvirt's names of what `machine.json` calls as QEMU does. */
const NIC_MODELS: ReadonlyMap<string, string> = new Map([
  ['virtio-net-pci', 'virtio'], ['e1000', 'e1000'], ['e1000e', 'e1000e'], ['rtl8139', 'rtl8139'],
  ['vmxnet3', 'vmxnet3']])

/**
 * The XML for `virsh define`; undefined where it cannot be told what to be. The machine has a new
 * name and UUID, and its network cards are unplugged: two machines of one name in one network are
 * the operator's decision. `nvram` is a file with its UEFI variables.
 */
export function libvirtDomainFor(
  machine: StoredMachine, disks: readonly RestoredDisk[], nvram: string | undefined,
): string | undefined {
  const { architecture, firmware, cpuCount, memoryBytes } = machine
  if (architecture === 'other') return undefined
  const isX86 = architecture === 'x86_64'
  const isUefi = firmware === 'uefi' || !isX86
  const next = { vd: 0, sd: 0 }
  const lines = machine.disks.flatMap((disk) => {
    const file = disks.find(({ id }) => id === disk.id)
    return file === undefined ? [] : [diskXml(disk, file, next)]
  })
  return `<domain type='kvm'>
  <name>${plain(machine.name) || 'machine'}-restored</name>
  <memory unit='MiB'>${Math.max(MIN_MEMORY_MIB, Math.round(memoryBytes / MIB))}</memory>
  <vcpu>${Math.min(cpuCount, MAX_CPUS)}</vcpu>
  <os${isUefi ? ' firmware=\'efi\'' : ''}>
    <type arch='${architecture}' machine='${isX86 ? 'q35' : 'virt'}'>hvm</type>
    ${isUefi && nvram !== undefined ? `<nvram>${escapeXml(nvram)}</nvram>` : ''}
    <boot dev='hd'/>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    ${[...lines, ...machine.nics.slice(0, MAX_NICS).map(nicXml)].join('\n    ')}
    <controller type='scsi' model='virtio-scsi'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <serial type='pty'/>
    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
    <video><model type='${isX86 ? 'vga' : 'virtio'}'/></video>
  </devices>
</domain>
`
}

/** SATA stands in for IDE, NVMe and the unknown: libvirt offers it on every machine type here. */
function diskXml(
  disk: MachineDisk, file: RestoredDisk, next: { vd: number; sd: number }): string {
  const bus = disk.bus === 'virtio' || disk.bus === 'scsi' ? disk.bus : 'sata'
  const kind = bus === 'virtio' ? 'vd' : 'sd'
  const serial = plain(disk.serial ?? '').slice(0, 20)
  const { logicalBlockBytes: block = 512 } = disk
  return '<disk type=\'file\' device=\'disk\'>' +
    `<driver name='qemu' type='${file.format}'/><source file='${escapeXml(file.path)}'/>` +
    (block === 512 ? ''
      : `<blockio logical_block_size='${block}' physical_block_size='${block}'/>`) +
    `<target dev='${kind}${letters(next[kind]++)}' bus='${bus}'/>` +
    `${serial === '' ? '' : `<serial>${serial}</serial>`}</disk>`
}

function nicXml({ model, mac }: StoredMachine['nics'][number]): string {
  const isMac = mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)
  return `<interface type='user'>${isMac ? `<mac address='${mac}'/>` : ''}` +
    `<model type='${NIC_MODELS.get(model) ?? 'e1000e'}'/><link state='down'/></interface>`
}

/** `a` … `z`, `aa` …, as Linux and libvirt count disks. */
function letters(index: number): string {
  const rest = Math.floor(index / 26) - 1
  return (rest < 0 ? '' : letters(rest)) + String.fromCharCode(97 + index % 26)
}

function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9_.-]/g, '').replace(/^[-.]+/, '').slice(0, 64)
}
