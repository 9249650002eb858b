/** The vSphere platform: all virtual machines of a vCenter or of an ESXi host. */

import { canonicalJson } from '../../base/canonical-json.ts'
import { Fault } from '../../base/fault.ts'
import { programPlaces, thisSystem } from '../../base/program-places.ts'
import type { RandomBytes } from '../../base/random.ts'
import { printable } from '../../base/text.ts'
import type {
  MachineDescription, MachineInMaking, MachineSummary, Platform,
} from '../../catalog/mod.ts'
import type { Provider } from '../../consistency/mod.ts'
import type { ProviderContext } from '../machine/context.ts'
import {
  MACHINE_PATHS, parseMachine, parseSummary, SUMMARY_PATHS, type VimMachine,
} from './machine.ts'
import { makeMachine } from './machine-in-making.ts'
import { readPassword, type VsphereOptions } from './options.ts'
import type { PlaceNames } from './place.ts'
import type { VddkOptions } from './vddk/vddk-options.ts'
import { VsphereProvider } from './provider.ts'
import { VimClient } from './vim/client.ts'
import { HttpsClient } from './vim/https.ts'
import { allProperties, propertiesOf } from './vim/properties.ts'
import type { Moref } from './vim/soap.ts'

/**
 * Logs in. Dispose it: that logs out. Faults: `platform-unreachable`, `platform-refused` (also for
 * a certificate that is not trusted), `platform-protocol`, `timed-out`, `io-error`, `usage`.
 */
export async function openVspherePlatform(
  options: VsphereOptions, { clock, log, random }: ProviderContext, signal: AbortSignal,
): Promise<Platform> {
  const account = { user: options.user, password: await readPassword(options.passwordFile) }
  await using stack = new AsyncDisposableStack()
  const http = stack.use(new HttpsClient(new URL(options.url), options.fingerprint))
  const client = stack.use(await VimClient.connect({ http, account, clock, log }, signal))
  return new VspherePlatform(client, options, random, stack.move())
}

class VspherePlatform implements Platform {
  readonly kind = 'vsphere'
  readonly #client: VimClient
  readonly #stateDir: string
  readonly #vddk: VddkOptions | undefined
  readonly #places: PlaceNames
  readonly #random: RandomBytes
  readonly #resources: AsyncDisposableStack

  constructor(
    client: VimClient, options: VsphereOptions, random: RandomBytes,
    resources: AsyncDisposableStack) {
    this.#random = random
    this.#client = client
    const { vddk: libraryDir, user, passwordFile } = options
    this.#vddk = libraryDir === undefined ? undefined : { libraryDir, user, passwordFile }
    this.#stateDir = options.stateDir ?? programPlaces(thisSystem()).state
    this.#places = options
    this.#resources = resources
  }

  async machines(signal: AbortSignal): Promise<readonly MachineSummary[]> {
    const found = await this.#all(SUMMARY_PATHS, signal)
    const summaries = found.flatMap((it) => parseSummary(it) ?? [])
    return summaries.toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  }

  #all(paths: readonly string[], signal: AbortSignal): ReturnType<typeof allProperties> {
    return allProperties(
      this.#client, this.#client.services.rootFolder, 'VirtualMachine', paths, signal)
  }

  async describe(name: string, signal: AbortSignal): ReturnType<Platform['describe']> {
    const machine = await this.#find(name, signal)
    return {
      machine: describe(machine),
      documents: [{ name: 'vsphere.json', text: canonicalJson(definitionOf(machine)) }],
    }
  }

  async makeMachine(
    name: string, description: MachineDescription, replace: boolean, signal: AbortSignal,
  ): Promise<MachineInMaking> {
    return makeMachine(this.#client, this.#places,
      { name, description, replace, random: this.#random }, signal)
  }

  provider(name: string): Provider {
    return new VsphereProvider({
      client: this.#client, stateDir: this.#stateDir, vddk: this.#vddk,
      find: (signal) => this.#find(name, signal) })
  }

  /** By its name, or by its id (`vm-57`) where names repeat. */
  async #find(name: string, signal: AbortSignal): Promise<VimMachine> {
    const { host } = this.#client.port.http.url
    const all = await this.#all(['name'], signal)
    const named = all.filter(({ values }) => values.get('name')?.text === name)
    const [found, ...others] = named.length > 0 ? named : all.filter(({ ref }) => ref.id === name)
    if (found === undefined) {
      throw new Fault('machine-not-found',
        `there is no machine ${printable(name, 100)} at ${host}`, {
          advice: 'stillpoint machines lists those that the account may see.' })
    }
    if (others.length > 0) {
      const ids = named.map(({ ref }) => printable(ref.id, 40)).join(', ')
      throw new Fault('machine-not-found',
        `${named.length} machines at ${host} are called ${printable(name, 100)}`, {
          advice: `Name one by its id: ${ids}.` })
    }
    return this.#read(found.ref, signal)
  }

  async #read(ref: Moref, signal: AbortSignal): Promise<VimMachine> {
    const machine = parseMachine(await propertiesOf(this.#client, ref, MACHINE_PATHS, signal))
    if (!machine.isTemplate) return machine
    throw new Fault('machine-not-ready', `${printable(machine.name, 100)} is a template`, {
      advice: 'Templates have no snapshots: clone it, or turn it into a machine.' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]()
  }
}

function describe(machine: VimMachine): MachineDescription {
  return {
    version: 1,
    name: machine.name.slice(0, 256),
    ...machine.uuid === undefined ? {} : { platformId: machine.uuid.slice(0, 256) },
    platform: 'vsphere',
    architecture: 'x86_64',
    cpuCount: machine.cpuCount,
    memoryBytes: machine.memoryBytes,
    firmware: machine.firmware,
    disks: machine.disks.map(({ id, sizeBytes, bus, backing }) => ({
      id, sizeBytes, bus,
      ...backing.uuid === undefined ? {} : { serial: backing.uuid.slice(0, 256) } })),
    nics: machine.nics.slice(0, 256),
  }
}

/** What of vSphere's own description is kept: nothing that could hold a secret. */
function definitionOf(machine: VimMachine): object {
  const { name, ref, uuid, guestId, hardwareVersion, firmware, vmxPath, disks } = machine
  return {
    name, id: ref.id, uuid: uuid ?? null, guestId, hardwareVersion, firmware, vmxPath,
    disks: disks.map(({ id, key, label, sizeBytes, backing }) =>
      ({ id, key, label, sizeBytes, file: backing.fileName, type: backing.type })),
  }
}
