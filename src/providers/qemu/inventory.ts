/** What a QEMU machine is, in portable words, and what QEMU itself says of it. */

import type { MachineDescription, MachineNic, PlatformDocument } from '../../catalog/mod.ts'
import { isFault } from '../../base/fault.ts'
import { withoutSecrets } from '../machine/secrets.ts'
import { discoverDisks } from './disks.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'
import { peripherals, property, readDevice } from './qom.ts'

/** Kinds of network cards: every one that QEMU 7.2 and 10 list as network devices for PCs. */
const NICS = /^(virtio-net|e1000|rtl8139|vmxnet3|ne2k|pcnet|i8255|usb-net|igb|tulip)/
/** What `query-*` commands say goes into the restore point as it is, but for secrets. */
const DOCUMENTS = [
  'query-version', 'query-name', 'query-uuid', 'query-status', 'query-target', 'query-cpus-fast',
  'query-memory-size-summary', 'query-block', 'query-pci', 'query-chardev', 'query-iothreads',
  'query-hotpluggable-cpus', 'query-current-machine', 'query-kvm',
]

/** In characters, well below what is read back. A machine with 500 block nodes takes a tenth. */
const MAX_DOCUMENT_LENGTH = 4 * 1024 * 1024

/** QEMU's own name, else its UUID, else `qemu`. Faults: `platform-*`. */
export async function machineName(client: QmpClient, signal: AbortSignal): Promise<string> {
  const { name } = await ask(client, 'query-name', signal)
  if (name !== undefined && name !== '') return name
  return await machineUuid(client, signal) ?? 'qemu'
}

/** Undefined where none was given to the machine: QEMU then states zeros. */
async function machineUuid(client: QmpClient, signal: AbortSignal): Promise<string | undefined> {
  const { UUID: id } = await ask(client, 'query-uuid', signal)
  return /^[0-]*$/.test(id) ? undefined : id
}

/** Faults: `platform-*`, `machine-lost`. */
export async function describeMachine(
  client: QmpClient, name: string, signal: AbortSignal): Promise<MachineDescription> {
  const { disks } = await discoverDisks(client, signal)
  const { arch } = await ask(client, 'query-target', signal)
  const cpus = await ask(client, 'query-cpus-fast', signal)
  const memory = await ask(client, 'query-memory-size-summary', signal)
  const platformId = await machineUuid(client, signal)
  return {
    version: 1,
    name,
    ...(platformId === undefined ? {} : { platformId }),
    platform: 'qemu',
    architecture: arch === 'x86_64' || arch === 'aarch64' ? arch : 'other',
    cpuCount: cpus.length,
    memoryBytes: memory['base-memory'] + (memory['plugged-memory'] ?? 0),
    firmware: await firmwareOf(client, arch, signal),
    disks: disks.map(({ id, sizeBytes, bus, serial, logicalBlockBytes }) => ({
      id, sizeBytes, bus,
      ...(serial === undefined ? {} : { serial }),
      ...(logicalBlockBytes === undefined ? {} : { logicalBlockBytes }),
    })),
    nics: await nicsOf(client, signal),
  }
}

/** A guess: UEFI lives in flash. A firmware given with -bios cannot be told. */
async function firmwareOf(
  client: QmpClient, arch: string, signal: AbortSignal): Promise<MachineDescription['firmware']> {
  const blocks = await ask(client, 'query-block', signal)
  if (blocks.some(({ device }) => device.startsWith('pflash'))) return 'uefi'
  return arch === 'x86_64' ? 'bios' : 'unknown'
}

async function nicsOf(client: QmpClient, signal: AbortSignal): Promise<readonly MachineNic[]> {
  const nics: MachineNic[] = []
  for (const { path, type } of await peripherals(client, signal)) {
    if (!NICS.test(type)) continue
    const mac = await property(client, await readDevice(client, path, signal), 'mac', signal)
    nics.push({ model: type, ...(typeof mac === 'string' ? { mac } : {}) })
  }
  return nics
}

/** One document a query; one that this QEMU does not have, or answers at length, is left out. */
export async function machineDocuments(
  client: QmpClient, signal: AbortSignal): Promise<readonly PlatformDocument[]> {
  const documents: PlatformDocument[] = []
  for (const command of DOCUMENTS) {
    try {
      const value = withoutSecrets(await client.execute(command, {}, signal))
      const text = `${JSON.stringify(value, null, 2)}\n`
      if (text.length <= MAX_DOCUMENT_LENGTH) documents.push({ name: `${command}.json`, text })
    } catch (error) {
      if (!isFault(error, 'unsupported', 'platform-refused')) throw error
    }
  }
  return documents
}
