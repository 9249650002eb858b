/** Which disks the machine has, which can be captured, and why others cannot. */

import type { DiskLeftOut, LeftOutReason } from '../../consistency/mod.ts'
import type { MachineDisk } from '../../catalog/mod.ts'
import { printable } from '../../base/text.ts'
import type { DiscoveredDisks } from '../machine/choose-disks.ts'
import type { DiskAddress } from '../machine/disk-addresses.ts'
import { sanitise, uniqueNames } from '../machine/disk-names.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask, type Reply } from './qmp-replies.ts'
import {
  controllerOf, devicePath, pciAddressOf, peripherals, property, readDevice, upwards,
  type QomDevice,
} from './qom.ts'

/** A disk that can be captured. */
export interface QemuDisk extends DiskAddress {
  readonly sizeBytes: number
  readonly logicalBlockBytes: number | undefined
  /** The device's object, whose `drive` is switched. */
  readonly path: string
  /** The block node that the device reads and writes now. */
  readonly node: string
  /** The image's file name as QEMU states it; relative to a folder that we do not know. */
  readonly file: string
}

type BlockEntry = Reply<'query-block'>[number]

const BUSES: readonly (readonly [RegExp, MachineDisk['bus']])[] = [
  [/^virtio-blk/, 'virtio'], [/^scsi-hd$/, 'scsi'], [/^ide-hd$/, 'ide'], [/^nvme(-ns)?$/, 'nvme'],
]
/** Devices that are never captured, but of which the guest has an address all the same. */
const OTHER_BUSES: typeof BUSES = [[/^scsi-/, 'scsi'], [/^vhost-user-blk/, 'virtio']]
const PASSED_THROUGH = /^(scsi-block|scsi-generic|vhost-user-blk|vhost-scsi|vhost-user-scsi)/

/**
 * The first version whose NBD server survives a client's departure while the disk is served in an
 * I/O thread. Before, QEMU 7.2.22 ends with an assertion in `nbd_blockdev_client_closed`, taking
 * the machine with it (measured; docs/decisions/0001-qemu-snapshot.md).
 */
const NBD_IN_IOTHREAD_SINCE = 9

/** Reads the machine's disks. Faults: `platform-*`, `machine-lost`. */
export async function discoverDisks(
  client: QmpClient, signal: AbortSignal): Promise<DiscoveredDisks<QemuDisk>> {
  const { qemu } = await ask(client, 'query-version', signal)
  const pci = await ask(client, 'query-pci', signal)
  const entries = (await ask(client, 'query-block', signal))
    .flatMap((entry) => entry.qdev === undefined ? [] : [{ entry, qdev: entry.qdev }])
  const names = uniqueNames(entries.map(({ entry, qdev }) => nameOf(entry, qdev)))
  const disks: QemuDisk[] = []
  const leftOut: DiskLeftOut[] = []
  const addresses: DiskAddress[] = []
  for (const [index, { entry, qdev }] of entries.entries()) {
    const id = names[index] ?? 'disk'
    const device = await readDevice(client, devicePath(qdev), signal)
    const facts = { client, device, pci, major: qemu.major }
    const address = await addressOf(id, facts, signal)
    addresses.push(address)
    const found = await examine(address, entry, facts, signal)
    if ('reason' in found) leftOut.push(found)
    else disks.push(found)
  }
  for (const { path, type } of await disksWithoutBlockNode(client, signal)) {
    const id = sanitise(path.slice(path.lastIndexOf('/') + 1))
    leftOut.push({ id, reason: 'pass-through',
      detail: `${printable(type)} is served by another process than QEMU` })
    const device = await readDevice(client, path, signal)
    const address = await addressOf(id, { client, device, pci, major: qemu.major }, signal)
    addresses.push({ ...address, bus: 'virtio' }) // all that is behind it, whatever its unit
  }
  return { disks, leftOut, addresses }
}

interface Facts {
  readonly client: QmpClient
  readonly device: QomDevice
  readonly pci: Reply<'query-pci'>
  readonly major: number
}

async function addressOf(id: string, facts: Facts, signal: AbortSignal): Promise<DiskAddress> {
  const { client, device, pci } = facts
  const bus = [...BUSES, ...OTHER_BUSES].find(([pattern]) => pattern.test(device.type))?.[1]
  const serial = await property(client, device, 'serial', signal)
  return {
    id,
    bus: bus === 'ide' && await isOnAhci(facts, signal) ? 'sata' : bus ?? 'other',
    serial: typeof serial === 'string' && serial !== '' ? serial : undefined,
    pci: await pciAddressOf(client, device, pci, signal),
    target: numberOr(await property(client, device, 'scsi-id', signal)),
    lun: numberOr(await property(client, device, 'lun', signal)),
  }
}

async function examine(
  address: DiskAddress, entry: BlockEntry, facts: Facts, signal: AbortSignal,
): Promise<QemuDisk | DiskLeftOut> {
  const { client, device } = facts
  const { id } = address
  const { inserted } = entry
  const without = (reason: LeftOutReason, detail: string): DiskLeftOut => ({ id, reason, detail })
  if (inserted === undefined) return without('empty', 'a drive without medium')
  if (/pflash/.test(device.type)) {
    return without(inserted.ro ? 'read-only' : 'unsupported', 'firmware in flash, not a disk')
  }
  if (inserted.ro) return without('read-only', 'a medium that the guest cannot write')
  if (PASSED_THROUGH.test(device.type)) {
    return without('pass-through', `${device.type} reaches the host's device past QEMU's disks`)
  }
  const isKnown = BUSES.some(([pattern]) => pattern.test(device.type))
  if (!isKnown || !device.properties.has('drive')) {
    return without('unsupported', `disks of the kind ${printable(device.type)} cannot be captured`)
  }
  if (inserted['node-name'] === '') return without('unsupported', 'its block node has no name')
  const thread = await ioThreadOf(client, device, signal)
  if (thread !== undefined && facts.major < NBD_IN_IOTHREAD_SINCE) {
    return without('unsupported', `it is served by ${printable(thread)}, and this QEMU would end ` +
      `with a fault when a reader leaves; run it without I/O thread, or QEMU ` +
      `${NBD_IN_IOTHREAD_SINCE} or newer`)
  }
  const block = await property(client, device, 'logical_block_size', signal)
  return {
    ...address,
    sizeBytes: inserted.image['virtual-size'],
    path: device.path,
    logicalBlockBytes: typeof block === 'number' && block > 0 ? block : undefined,
    node: inserted['node-name'],
    file: inserted.file,
  }
}

async function isOnAhci({ client, device }: Facts, signal: AbortSignal): Promise<boolean> {
  return /ahci/.test((await controllerOf(client, device, signal))?.type ?? '')
}

/** Disks that QEMU passes on without a block node of its own, and therefore cannot capture. */
async function disksWithoutBlockNode(
  client: QmpClient, signal: AbortSignal): ReturnType<typeof peripherals> {
  const found = await peripherals(client, signal)
  return found.filter(({ type }) => /^vhost-(user-blk|scsi|user-scsi)/.test(type))
}

/** The I/O thread that serves the device or its controller; undefined if the main thread does. */
async function ioThreadOf(
  client: QmpClient, device: QomDevice, signal: AbortSignal): Promise<string | undefined> {
  for await (const it of upwards(client, device, signal)) {
    for (const name of ['iothread', 'iothread-vq-mapping']) {
      const thread = await property(client, it, name, signal)
      if (typeof thread === 'string' && thread !== '') return thread
      if (Array.isArray(thread) && thread.length > 0) return name
    }
  }
  return undefined
}

/**
 * What the operator called it: the device's id, else its drive's (QEMU makes up `virtio0` for a
 * legacy -drive), else the block node's if the operator named that.
 */
function nameOf(entry: BlockEntry, qdev: string): string {
  const id = /^\/machine\/peripheral\/([^/]+)/.exec(qdev)?.[1]
  if (id !== undefined) return id
  if (!qdev.startsWith('/')) return qdev
  if (entry.device !== '') return entry.device
  const node = entry.inserted?.['node-name'] ?? ''
  return node === '' || node.startsWith('#') ? 'disk' : node
}

function numberOr(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined
}
