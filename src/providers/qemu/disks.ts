/** Which disks the machine has, which can be captured, and why others cannot. */

import type { DiskLeftOut, LeftOutReason } from '../../consistency/mod.ts'
import type { MachineDisk } from '../../catalog/mod.ts'
import { printable } from '../../base/text.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask, type Reply } from './qmp-replies.ts'
import {
  controllerOf, devicePath, pciAddressOf, peripherals, property, readDevice, type PciAddress,
  type QomDevice,
} from './qom.ts'

/** A disk that can be captured. */
export interface QemuDisk {
  /** Stable over runs as long as the machine's command line is; see `namedDisks`. */
  readonly id: string
  readonly sizeBytes: number
  readonly bus: MachineDisk['bus']
  readonly serial: string | undefined
  readonly logicalBlockBytes: number | undefined
  /** The device's object, whose `drive` is switched. */
  readonly path: string
  /** The block node that the device reads and writes now. */
  readonly node: string
  /** The image's file name as QEMU states it; relative to a folder that we do not know. */
  readonly file: string
  readonly pci: PciAddress | undefined
  readonly target: number | undefined
  readonly lun: number | undefined
}

export interface DiscoveredDisks {
  readonly disks: readonly QemuDisk[]
  readonly leftOut: readonly DiskLeftOut[]
}

type BlockEntry = Reply<'query-block'>[number]

const BUSES: readonly (readonly [RegExp, MachineDisk['bus']])[] = [
  [/^virtio-blk/, 'virtio'], [/^scsi-hd$/, 'scsi'], [/^ide-hd$/, 'ide'], [/^nvme(-ns)?$/, 'nvme'],
]
const PASSED_THROUGH = /^(scsi-block|scsi-generic|vhost-user-blk|vhost-scsi|vhost-user-scsi)/

/**
 * The first version whose NBD server survives a client's departure while the disk is served in an
 * I/O thread. Before, QEMU 7.2.22 ends with an assertion in `nbd_blockdev_client_closed`, taking
 * the machine with it (measured; docs/decisions/0001-qemu-snapshot.md).
 */
const NBD_IN_IOTHREAD_SINCE = 9

/** Reads the machine's disks. Faults: `platform-*`, `machine-lost`. */
export async function discoverDisks(
  client: QmpClient, signal: AbortSignal): Promise<DiscoveredDisks> {
  const { qemu } = await ask(client, 'query-version', signal)
  const pci = await ask(client, 'query-pci', signal)
  const entries = (await ask(client, 'query-block', signal))
    .flatMap((entry) => entry.qdev === undefined ? [] : [{ entry, qdev: entry.qdev }])
  const names = uniqueNames(entries.map(({ entry, qdev }) => nameOf(entry, qdev)))
  const disks: QemuDisk[] = []
  const leftOut: DiskLeftOut[] = []
  for (const [index, { entry, qdev }] of entries.entries()) {
    const id = names[index] ?? 'disk'
    const device = await readDevice(client, devicePath(qdev), signal)
    const facts = { client, device, pci, major: qemu.major }
    const found = await examine(id, entry, facts, signal)
    if ('reason' in found) leftOut.push(found)
    else disks.push(found)
  }
  leftOut.push(...await disksWithoutBlockNode(client, signal))
  return { disks, leftOut }
}

interface Facts {
  readonly client: QmpClient
  readonly device: QomDevice
  readonly pci: Reply<'query-pci'>
  readonly major: number
}

async function examine(
  id: string, entry: BlockEntry, facts: Facts, signal: AbortSignal,
): Promise<QemuDisk | DiskLeftOut> {
  const { client, device, pci } = facts
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
  const bus = BUSES.find(([pattern]) => pattern.test(device.type))?.[1]
  if (bus === undefined || !device.properties.has('drive')) {
    return without('unsupported', `disks of the kind ${printable(device.type)} cannot be captured`)
  }
  if (inserted['node-name'] === '') return without('unsupported', 'its block node has no name')
  const thread = await ioThreadOf(client, device, signal)
  if (thread !== undefined && facts.major < NBD_IN_IOTHREAD_SINCE) {
    return without('unsupported', `it is served by ${printable(thread)}, and this QEMU would end ` +
      `with a fault when a reader leaves; run it without I/O thread, or QEMU ` +
      `${NBD_IN_IOTHREAD_SINCE} or newer`)
  }
  const serial = await property(client, device, 'serial', signal)
  const block = await property(client, device, 'logical_block_size', signal)
  return {
    id,
    sizeBytes: inserted.image['virtual-size'],
    bus: bus === 'ide' && await isOnAhci(facts, signal) ? 'sata' : bus,
    path: device.path,
    serial: typeof serial === 'string' && serial !== '' ? serial : undefined,
    logicalBlockBytes: typeof block === 'number' && block > 0 ? block : undefined,
    node: inserted['node-name'],
    file: inserted.file,
    pci: await pciAddressOf(client, device, pci, signal),
    target: numberOr(await property(client, device, 'scsi-id', signal)),
    lun: numberOr(await property(client, device, 'lun', signal)),
  }
}

async function isOnAhci({ client, device }: Facts, signal: AbortSignal): Promise<boolean> {
  return /ahci/.test((await controllerOf(client, device, signal))?.type ?? '')
}

/** Disks that QEMU passes on without a block node of its own, and therefore cannot capture. */
async function disksWithoutBlockNode(
  client: QmpClient, signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
  const found = await peripherals(client, signal)
  return found.filter(({ type }) => /^vhost-(user-blk|scsi|user-scsi)/.test(type))
    .map(({ path, type }) => ({
      id: sanitise(path.slice(path.lastIndexOf('/') + 1)), reason: 'pass-through',
      detail: `${type} is served by another process than QEMU` }))
}

/** The I/O thread that serves the device or its controller; undefined if the main thread does. */
async function ioThreadOf(
  client: QmpClient, device: QomDevice, signal: AbortSignal): Promise<string | undefined> {
  for (const name of ['iothread', 'iothread-vq-mapping']) {
    const thread = await property(client, device, name, signal)
    if (typeof thread === 'string' && thread !== '') return thread
    if (Array.isArray(thread) && thread.length > 0) return name
  }
  const controller = await controllerOf(client, device, signal)
  return controller && await ioThreadOf(client, controller, signal)
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

/** A foreign name as a disk id, `[a-z0-9._-]{1,64}`, never of dots alone. */
export function sanitise(name: string): string {
  const id = name.toLowerCase().replaceAll(/[^a-z0-9._-]/g, '-').slice(0, 60)
  return /[a-z0-9]/.test(id) ? id : `disk${id.replaceAll('.', '-')}`
}

/** Names as ids, each once: the second of a kind gets `-2`. */
function uniqueNames(names: readonly string[]): readonly string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    const base = sanitise(name)
    let id = base
    for (let n = 2; taken.has(id); n++) id = `${base}-${n}`
    taken.add(id)
    return id
  })
}

function numberOr(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined
}
