/** Which disks a machine of libvirt has, which can be captured, and why others cannot. */

import { childAt, childrenOf, type XmlElement } from '../../base/xml.ts'
import { printable } from '../../base/text.ts'
import type { MachineDisk } from '../../catalog/mod.ts'
import type { DiskLeftOut, LeftOutReason } from '../../consistency/mod.ts'
import type { DiscoveredDisks } from '../machine/choose-disks.ts'
import type { DiskAddress, PciAddress } from '../machine/disk-addresses.ts'
import { uniqueNames } from '../machine/disk-names.ts'
import type { Domain } from './domain.ts'

/** A disk that can be captured. */
export interface LibvirtDisk extends DiskAddress {
  /** libvirt's name of it: `vda`. */
  readonly name: string
  readonly sizeBytes: number
  readonly logicalBlockBytes: number | undefined
  /** Of the image on top: `qcow2` can keep a bitmap. */
  readonly format: string
  /** Of this host; undefined for a disk that is no file. */
  readonly file: string | undefined
  /** What the image on top and those below are, in libvirt's words; tells a disk from another. */
  readonly sources: readonly string[]
}

/** The first QEMU whose NBD server survives a reader's end beside an I/O thread; see qemu/disks. */
const NBD_IN_IOTHREAD_SINCE = 9

const BUSES: ReadonlyMap<string, MachineDisk['bus']> = new Map([
  ['virtio', 'virtio'], ['scsi', 'scsi'], ['sata', 'sata'], ['ide', 'ide'], ['nvme', 'nvme']])

/** `qemuMajor` is the version of the QEMU that runs the machine, as far as libvirt tells. */
export function discoverDisks(
  domain: Domain, qemuMajor: number): DiscoveredDisks<LibvirtDisk> {
  const devices = childAt(domain.xml, 'devices')
  const elements = childrenOf(devices, 'disk')
  const names = uniqueNames(elements.map(targetOf))
  const disks: LibvirtDisk[] = []
  const leftOut: DiskLeftOut[] = []
  const addresses: DiskAddress[] = []
  for (const [index, element] of elements.entries()) {
    const address = addressOf(names[index] ?? 'disk', element, devices)
    addresses.push(address)
    const found = examine(address, element, devices, domain, qemuMajor)
    if ('reason' in found) leftOut.push(found)
    else disks.push(found)
  }
  for (const [index, passed] of childrenOf(devices, 'hostdev').entries()) {
    if (!['scsi', 'scsi_host', 'mdev'].includes(passed.attributes.get('type') ?? '')) continue
    leftOut.push({ id: `hostdev${index}`, reason: 'pass-through',
      detail: 'a device of the host, past QEMU\'s disks' })
  }
  return { disks, leftOut, addresses }
}

function targetOf(element: XmlElement): string {
  return childAt(element, 'target')?.attributes.get('dev') ?? ''
}

function examine(
  address: DiskAddress, element: XmlElement, devices: XmlElement | undefined, domain: Domain,
  qemuMajor: number,
): LibvirtDisk | DiskLeftOut {
  const { id } = address
  const without = (reason: LeftOutReason, detail: string): DiskLeftOut => ({ id, reason, detail })
  const source = childAt(element, 'source')
  const device = element.attributes.get('device') ?? 'disk'
  const type = element.attributes.get('type') ?? ''
  if (device === 'lun') return without('pass-through', 'a LUN, past QEMU\'s disks')
  if (source === undefined) return without('empty', 'a drive without medium')
  if (device !== 'disk' || childAt(element, 'readonly') !== undefined) {
    return without('read-only', 'a medium that the guest cannot write')
  }
  if (childAt(element, 'shareable') !== undefined) {
    return without('shared', 'other machines may write to it')
  }
  if (childAt(element, 'transient') !== undefined) {
    return without('unsupported', 'it is forgotten when the machine ends (transient)')
  }
  if (!['file', 'block', 'network', 'volume'].includes(type)) {
    return without('unsupported', `disks of the kind ${printable(type, 40)} cannot be captured`)
  }
  if (qemuMajor < NBD_IN_IOTHREAD_SINCE && hasIoThread(element, devices)) {
    return without('unsupported', 'it is served by an I/O thread, and this QEMU would end with a ' +
      `fault when a reader leaves; run it without, or QEMU ${NBD_IN_IOTHREAD_SINCE} or newer`)
  }
  const name = targetOf(element)
  const sizeBytes = domain.sizes.get(name)
  if (sizeBytes === undefined || sizeBytes === 0 || name === '') {
    return without('unsupported', 'libvirt does not tell its size')
  }
  const block = Number(childAt(element, 'blockio')?.attributes.get('logical_block_size'))
  return {
    ...address,
    name,
    sizeBytes,
    logicalBlockBytes: Number.isSafeInteger(block) && block > 0 ? block : undefined,
    format: childAt(element, 'driver')?.attributes.get('type') ?? 'raw',
    file: type === 'file' ? source.attributes.get('file') : undefined,
    sources: sourcesOf(element),
  }
}

/** A chain of images is not longer than what libvirt itself follows. */
const MAX_CHAIN = 200

function sourcesOf(element: XmlElement): readonly string[] {
  const found: string[] = []
  for (let at: XmlElement | undefined = element; at !== undefined && found.length < MAX_CHAIN;
    at = childAt(at, 'backingStore')) {
    const name = sourceName(childAt(at, 'source'))
    if (name !== undefined) found.push(name)
  }
  return found
}

/** What tells an image from others of the machine; undefined for what has no name. */
export function sourceName(source: XmlElement | undefined): string | undefined {
  if (source === undefined) return undefined
  const [file, dev, protocol, name, pool, volume] = ['file', 'dev', 'protocol', 'name', 'pool',
    'volume'].map((key) => source.attributes.get(key))
  if (file !== undefined) return `file ${file}`
  if (dev !== undefined) return `block ${dev}`
  if (protocol !== undefined) return `network ${protocol} ${name ?? ''}`
  return volume === undefined ? undefined : `volume ${pool ?? ''} ${volume}`
}

/** As libvirt itself, this takes a PCI controller's index for the number of the guest's bus. */
function addressOf(
  id: string, element: XmlElement, devices: XmlElement | undefined): DiskAddress {
  const address = childAt(element, 'address')
  const bus = BUSES.get(childAt(element, 'target')?.attributes.get('bus') ?? '') ?? 'other'
  const serial = childAt(element, 'serial')?.text
  const isOnController = address?.attributes.get('type') === 'drive'
  return {
    id, bus,
    serial: serial === '' ? undefined : serial,
    pci: isOnController
      ? pciOf(childAt(controllerOf(element, devices), 'address')) : pciOf(address),
    target: isOnController ? wholeNumber(address?.attributes.get('target')) : undefined,
    lun: isOnController ? wholeNumber(address?.attributes.get('unit')) : undefined,
  }
}

function controllerOf(
  disk: XmlElement, devices: XmlElement | undefined): XmlElement | undefined {
  const bus = childAt(disk, 'target')?.attributes.get('bus')
  const index = childAt(disk, 'address')?.attributes.get('controller') ?? '0'
  return childrenOf(devices, 'controller').find(({ attributes }) =>
    attributes.get('type') === bus && attributes.get('index') === index)
}

function pciOf(address: XmlElement | undefined): PciAddress | undefined {
  if (address?.attributes.get('type') !== 'pci') return undefined
  const [bus, slot, fn] = ['bus', 'slot', 'function'].map((key) =>
    wholeNumber(address.attributes.get(key)))
  return bus === undefined || slot === undefined || fn === undefined
    ? undefined : { bus, slot, function: fn }
}

function hasIoThread(disk: XmlElement, devices: XmlElement | undefined): boolean {
  return [disk, controllerOf(disk, devices)].some((element) => {
    const driver = childAt(element, 'driver')
    return driver?.attributes.get('iothread') !== undefined ||
      childAt(driver, 'iothreads') !== undefined
  })
}

/** Decimal, or hexadecimal after `0x`. */
function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^(?:0x[0-9a-f]{1,8}|\d{1,9})$/i.test(text)
    ? Number(text) : undefined
}
