/** A VirtualMachineConfigSpec from a portable description: an allow-list, in vim25's own order. */

import type { MachineDescription, MachineDisk } from '../../catalog/mod.ts'
import { textElement } from './vim/soap.ts'

/** Where a disk is plugged in: always at the first controller of its bus. */
export interface DiskPlace {
  readonly bus: 'scsi' | 'sata' | 'nvme'
  readonly unit: number
}

interface ControllerKind {
  readonly type: string
  readonly key: number
  readonly extra: string
}

/** Of the kinds of SCSI the one that Linux and Windows know by themselves. */
const CONTROLLERS: Readonly<Record<DiskPlace['bus'], ControllerKind>> = {
  scsi: { type: 'VirtualLsiLogicSASController', key: -1001,
    extra: '<sharedBus>noSharing</sharedBus>' },
  sata: { type: 'VirtualAHCIController', key: -1002, extra: '' },
  nvme: { type: 'VirtualNVMEController', key: -1003, extra: '' },
}

/** The controller's own place on a SCSI bus. */
const SCSI_OWN_UNIT = 7

/**
 * By disk id. Buses that vSphere has not (virtio) and IDE, which holds four, become SCSI; places
 * follow the order of the disks, of which the first is what is booted.
 */
export function diskPlaces(disks: readonly MachineDisk[]): ReadonlyMap<string, DiskPlace> {
  const next = { scsi: 0, sata: 0, nvme: 0 }
  return new Map(disks.map(({ id, bus: wanted }) => {
    const bus = wanted === 'sata' || wanted === 'nvme' ? wanted : 'scsi'
    if (bus === 'scsi' && next.scsi === SCSI_OWN_UNIT) next.scsi++
    return [id, { bus, unit: next[bus]++ }]
  }))
}

export interface NewMachine {
  readonly name: string
  readonly notes: string
  /** Its name. */
  readonly datastore: string
}

/** The content of the `config` element. */
export function machineSpec(
  { name, notes, datastore }: NewMachine, machine: MachineDescription): string {
  const places = diskPlaces(machine.disks)
  const buses = new Set([...places.values()].map(({ bus }) => bus))
  const devices = [
    ...[...buses].map((bus) => add('', CONTROLLERS[bus].type,
      textElement('key', CONTROLLERS[bus].key) + textElement('busNumber', 0) +
      CONTROLLERS[bus].extra)),
    ...machine.disks.map(({ id, sizeBytes }, at) => {
      const { bus, unit } = places.get(id) ?? { bus: 'scsi', unit: at }
      return add('<fileOperation>create</fileOperation>', 'VirtualDisk',
        textElement('key', -2001 - at) +
        '<backing xsi:type="VirtualDiskFlatVer2BackingInfo">' +
        `${textElement('fileName', `[${datastore}]`)}<diskMode>persistent</diskMode></backing>` +
        textElement('controllerKey', CONTROLLERS[bus].key) + textElement('unitNumber', unit) +
        textElement('capacityInKB', Math.ceil(sizeBytes / 1024)))
    }),
  ]
  return textElement('name', name) + textElement('guestId', 'otherGuest64') +
    textElement('annotation', notes) +
    `<files>${textElement('vmPathName', `[${datastore}]`)}</files>` +
    textElement('numCPUs', machine.cpuCount) +
    textElement('memoryMB', Math.max(4, Math.ceil(machine.memoryBytes / 2 ** 22) * 4)) +
    devices.join('') +
    textElement('firmware', machine.firmware === 'uefi' ? 'efi' : 'bios')
}

function add(operation: string, type: string, content: string): string {
  return `<deviceChange><operation>add</operation>${operation}` +
    `<device xsi:type="${type}">${content}</device></deviceChange>`
}
