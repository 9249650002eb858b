/** Devices of the machine as QEMU's object model shows them (QMP Reference Manual, "QOM"). */

import { dirname } from 'node:path/posix'
import { Fault, isFault } from '../../base/fault.ts'
import type { PciAddress } from '../machine/disk-addresses.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask, type Reply } from './qmp-replies.ts'

export interface QomDevice {
  readonly path: string
  /** QEMU's name of the kind of device: `virtio-blk-pci`, `scsi-hd`. */
  readonly type: string
  readonly properties: ReadonlySet<string>
}

const BACKEND = '/virtio-backend'

/** The object of a device as `query-block` names it: by its path, or by its id alone. */
export function devicePath(qdev: string): string {
  const path = qdev.startsWith('/') ? qdev : `/machine/peripheral/${qdev}`
  // The backend of a virtio device is a part of it; the device itself has the address.
  return path.endsWith(BACKEND) ? path.slice(0, -BACKEND.length) : path
}

/** Faults: `platform-*`. */
export async function readDevice(
  client: QmpClient, path: string, signal: AbortSignal): Promise<QomDevice> {
  const properties = await ask(client, 'qom-list', signal, { path })
  const type = await ask(client, 'qom-get', signal, { path, property: 'type' })
  return {
    path,
    type: typeof type === 'string' ? type : '',
    properties: new Set(properties.map(({ name }) => name)),
  }
}

/** A property's value; undefined if the device has none of that name or does not tell it. */
export async function property(
  client: QmpClient, device: QomDevice, name: string, signal: AbortSignal): Promise<unknown> {
  if (!device.properties.has(name)) return undefined
  try {
    return await ask(client, 'qom-get', signal, { path: device.path, property: name })
  } catch (error) {
    if (isFault(error, 'platform-refused')) return undefined
    throw error
  }
}

/** The device whose bus this device sits on; undefined at the machine's topmost bus. */
export async function controllerOf(
  client: QmpClient, device: QomDevice, signal: AbortSignal): Promise<QomDevice | undefined> {
  const bus = await property(client, device, 'parent_bus', signal)
  if (typeof bus !== 'string' || !bus.startsWith('/machine/')) return undefined
  const controller = await readDevice(client, devicePath(dirname(bus)), signal)
  return controller.properties.has('parent_bus') ? controller : undefined
}

/** No machine has more controllers one behind the other; a QEMU that says so makes us walk on. */
const MAX_CONTROLLERS = 16

/** The device, its controller, that one's, and so on up to the machine's topmost bus. */
export async function* upwards(
  client: QmpClient, device: QomDevice, signal: AbortSignal,
): AsyncGenerator<QomDevice, void, undefined> {
  let next: QomDevice | undefined = device
  for (let count = 0; next !== undefined; count++) {
    if (count > MAX_CONTROLLERS) {
      throw new Fault('platform-protocol',
        `QEMU names more than ${MAX_CONTROLLERS} controllers one behind the other`)
    }
    yield next
    next = await controllerOf(client, next, signal)
  }
}

/** The kinds of all devices that the operator added: `[path, type]`. */
export async function peripherals(
  client: QmpClient, signal: AbortSignal,
): Promise<readonly { readonly path: string; readonly type: string }[]> {
  const found: { path: string; type: string }[] = []
  for (const folder of ['/machine/peripheral', '/machine/peripheral-anon']) {
    for (const { name, type } of await ask(client, 'qom-list', signal, { path: folder })) {
      const kind = /^child<(.*)>$/.exec(type)?.[1]
      if (kind !== undefined) found.push({ path: `${folder}/${name}`, type: kind })
    }
  }
  return found
}

/** The PCI address of the device or of the controller above it; undefined if it has none. */
export async function pciAddressOf(
  client: QmpClient, device: QomDevice, pci: Reply<'query-pci'>, signal: AbortSignal,
): Promise<PciAddress | undefined> {
  for await (const it of upwards(client, device, signal)) {
    const devfn = await property(client, it, 'addr', signal)
    const bus = await property(client, it, 'parent_bus', signal)
    if (typeof devfn !== 'number' || devfn < 0 || typeof bus !== 'string') continue
    const number = busNumber(bus, pci)
    return number === undefined
      ? undefined : { bus: number, slot: devfn >> 3, function: devfn & 7 }
  }
  return undefined
}

/** `/machine/q35/pcie.0` is bus 0; `/machine/peripheral/rp1/rp1` is the one behind bridge rp1. */
function busNumber(path: string, pci: Reply<'query-pci'>): number | undefined {
  const bridge = /^\/machine\/peripheral\/([^/]+)\/[^/]+$/.exec(path)?.[1]
  if (bridge === undefined) return path.startsWith('/machine/peripheral') ? undefined : 0
  const pending = pci.flatMap(({ devices }) => devices)
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.pci_bridge === undefined) continue
    if (next.qdev_id === bridge) return next.pci_bridge.bus.secondary
    pending.push(...next.pci_bridge.devices ?? [])
  }
  return undefined
}
