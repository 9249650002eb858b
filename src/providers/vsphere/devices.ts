/** Controllers and disks of a machine, and which disks a snapshot can capture. */

import { printable } from '../../base/text.ts'
import type { MachineDisk, MachineNic } from '../../catalog/mod.ts'
import type { DiskLeftOut } from '../../consistency/mod.ts'
import { childOf, childrenOf, textAt, type XmlElement } from '../../base/xml.ts'
import type { FoundDisks } from '../machine/choose-disks.ts'
import { numberOf, typeOf } from './vim/values.ts'

export interface VimController {
  readonly key: number
  readonly bus: MachineDisk['bus']
  readonly busNumber: number
  /** Its disks share their bus with other machines. */
  readonly isShared: boolean
  /** Places that hold nothing; undefined where it is not known how many there are. */
  readonly freeSlots: number | undefined
}

export interface VimDisk {
  readonly key: number
  /** Where it is plugged in: `scsi0-1`; stable while it is not moved. */
  readonly id: string
  /** `Hard disk 1` */
  readonly label: string
  readonly bus: MachineDisk['bus']
  readonly sizeBytes: number
  readonly backing: VimBacking
  /** Why no snapshot captures it; undefined if one does. */
  readonly leftOut: DiskLeftOut | undefined
}

export interface VimBacking {
  /** The type's name in vim25: `VirtualDiskFlatVer2BackingInfo` … */
  readonly type: string
  /** `[datastore] folder/file.vmdk`; empty where there is no file. */
  readonly fileName: string
  readonly uuid: string | undefined
  /** Where change tracking stood: `UUID/n`; undefined without it. */
  readonly changeId: string | undefined
  /** It lies on another file: a snapshot's or a linked clone's. */
  readonly hasParent: boolean
  readonly isEncrypted: boolean
}

interface ControllerKind {
  readonly bus: MachineDisk['bus']
  readonly prefix: string
  /** How many disks fit, the controller's own place taken off. */
  readonly slots: number
}

const SCSI: ControllerKind = { bus: 'scsi', prefix: 'scsi', slots: 15 }
const PARAVIRTUAL: ControllerKind = { bus: 'scsi', prefix: 'scsi', slots: 63 }

const CONTROLLERS: ReadonlyMap<string, ControllerKind> = new Map([
  ['VirtualLsiLogicController', SCSI],
  ['VirtualLsiLogicSASController', SCSI],
  ['VirtualBusLogicController', SCSI],
  ['ParaVirtualSCSIController', PARAVIRTUAL],
  ['VirtualIDEController', { bus: 'ide', prefix: 'ide', slots: 2 }],
  ['VirtualAHCIController', { bus: 'sata', prefix: 'sata', slots: 30 }],
  ['VirtualNVMEController', { bus: 'nvme', prefix: 'nvme', slots: 15 }],
])

const SCSI_ID = /SCSIController$|LsiLogic|BusLogic/

export interface Devices {
  readonly controllers: readonly VimController[]
  readonly disks: readonly VimDisk[]
  readonly nics: readonly MachineNic[]
}

/** From an element with `device` children, or `VirtualDevice` ones as a list has them. */
export function parseDevices(list: XmlElement | undefined): Devices {
  const devices = [...childrenOf(list, 'device'), ...childrenOf(list, 'VirtualDevice')]
  const controllers = devices.flatMap((device) => parseController(device, devices))
  const disks = devices.filter((device) => typeOf(device) === 'VirtualDisk')
    .map((device) => parseDisk(device, controllers))
  const ids = new Map<string, number>()
  for (const { id } of disks) ids.set(id, (ids.get(id) ?? 0) + 1)
  return {
    controllers,
    disks: disks.map((disk) => (ids.get(disk.id) ?? 0) > 1
      ? { ...disk, id: `disk-${disk.key}` } : disk).toSorted((a, b) => a.key - b.key),
    nics: devices.flatMap((device) => {
      const mac = textAt(device, 'macAddress')
      return mac === undefined ? [] : [{ model: modelOf(typeOf(device)), mac: mac.slice(0, 32) }]
    }),
  }
}

/** `VirtualVmxnet3` is `vmxnet3`. */
function modelOf(type: string): string {
  return type.replace(/^Virtual/, '').toLowerCase().slice(0, 64) || 'unknown'
}

function parseController(
  device: XmlElement, devices: readonly XmlElement[]): readonly VimController[] {
  const type = typeOf(device)
  const kind = CONTROLLERS.get(type) ?? (SCSI_ID.test(type) ? SCSI : undefined)
  if (kind === undefined) return []
  const key = numberOf(textAt(device, 'key'), 'a controller\'s key')
  const used = devices.filter((it) => textAt(it, 'controllerKey') === String(key)).length
  return [{
    key, bus: kind.bus,
    busNumber: numberOf(textAt(device, 'busNumber') ?? '0', 'a bus number'),
    isShared: !['', 'noSharing'].includes(textAt(device, 'sharedBus') ?? ''),
    freeSlots: Math.max(0, kind.slots - used),
  }]
}

function parseDisk(device: XmlElement, controllers: readonly VimController[]): VimDisk {
  const key = numberOf(textAt(device, 'key'), 'a disk\'s key')
  const controllerKey = textAt(device, 'controllerKey')
  const controller = controllers.find((it) => String(it.key) === controllerKey)
  const unit = textAt(device, 'unitNumber')
  const id = controller === undefined || unit === undefined || !/^\d{1,4}$/.test(unit)
    ? `disk-${key}` : `${controller.bus}${controller.busNumber}-${unit}`
  const inBytes = textAt(device, 'capacityInBytes')
  const backing = childOf(device, 'backing')
  return {
    key, id,
    label: textAt(childOf(device, 'deviceInfo'), 'label') ?? '',
    bus: controller?.bus ?? 'other',
    sizeBytes: inBytes === undefined
      ? numberOf(textAt(device, 'capacityInKB'), 'a disk\'s size') * 1024
      : numberOf(inBytes, 'a disk\'s size'),
    backing: {
      type: typeOf(backing),
      fileName: textAt(backing, 'fileName') ?? '',
      uuid: textAt(backing, 'uuid'),
      changeId: textAt(backing, 'changeId') || undefined,
      hasParent: childOf(backing, 'parent') !== undefined,
      isEncrypted: childOf(backing, 'keyId') !== undefined,
    },
    leftOut: whyLeftOut(id, backing, controller),
  }
}

function whyLeftOut(
  id: string, backing: XmlElement | undefined, controller: VimController | undefined,
): DiskLeftOut | undefined {
  const mode = textAt(backing, 'diskMode') ?? 'persistent'
  if (textAt(backing, 'compatibilityMode') === 'physicalMode') {
    return { id, reason: 'pass-through',
      detail: 'it is a raw disk in physical mode, of which there are no snapshots' }
  }
  if (mode.startsWith('independent')) {
    return { id, reason: 'independent',
      detail: `its mode ${printable(mode, 40)} keeps it out of snapshots` }
  }
  if (controller?.isShared === true || textAt(backing, 'sharing') === 'sharingMultiWriter') {
    return { id, reason: 'shared', detail: 'other machines may write to it' }
  }
  return undefined
}

/** `all` by whether a snapshot captures them. */
export function foundDisks(all: readonly VimDisk[]): FoundDisks<VimDisk> {
  return {
    disks: all.filter(({ leftOut }) => leftOut === undefined),
    leftOut: all.flatMap(({ leftOut }) => leftOut ?? []),
  }
}
