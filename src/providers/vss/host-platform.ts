/** The platform `host`: the Windows that this runs on, as a machine whose volumes are its disks. */

import { cpus, hostname, totalmem } from 'node:os'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { MachineSummary, Platform } from '../../catalog/mod.ts'
import type { FindData, Provider, WriterList } from '../../consistency/mod.ts'
import type { ProviderContext } from '../machine/context.ts'
import { chooseTransport } from './choose-transport.ts'
import type { Command } from './diskshadow/held-script.ts'
import type { HostPorts } from './host-ports.ts'
import { HostProvider } from './host-provider.ts'
import { readHostServices } from './host-services.ts'
import { readHostVolumes } from './host-volumes.ts'
import { queryRegistry } from './registry.ts'
import type { VssBackupType } from './session/transport.ts'
import { openShadowDevice } from './shadow-device.ts'

export interface HostOptions {
  /** Default copy: a full one belongs to whoever keeps the chain of logs. */
  readonly vssType?: VssBackupType
  /** Variables that writers' paths may name, such as `SystemRoot`. */
  readonly environment?: Readonly<Record<string, string>>
  /** See `HostProviderOptions`. */
  readonly leaveOut?: readonly string[]
}

const POWERSHELL: Command = { program: 'powershell.exe', args: [] }

/**
 * Asks nobody yet; `findData` looks through its volumes. Faults: `unsupported` anywhere but on
 * Windows, `program-missing`.
 */
export async function openHostPlatform(
  options: HostOptions, findData: FindData, context: ProviderContext): Promise<Platform> {
  if (process.platform !== 'win32') {
    throw new Fault('unsupported', `host: backs up a Windows by its own shadow copies; this is ${
      process.platform}`, {
      advice: 'Back up virtual machines here with --on libvirt:qemu:///system or ' +
        '--on qemu:qmp=PATH,agent=PATH, and files of the system itself with restic.' })
  }
  const environment = new Map(Object.entries(options.environment ?? {}))
  const systemFolder = `${environment.get('SystemRoot') ?? 'C:\\Windows'}\\System32`
  const { transport, because } = await chooseTransport({
    clock: context.clock, log: context.log, systemFolder })
  if (because !== undefined) context.log.warn('vss.by-diskshadow', { reason: because })
  return hostPlatform(options, {
    ...context, transport, because, environment,
    volumes: (signal) => readHostVolumes(POWERSHELL, context.clock, signal),
    services: (signal) => readHostServices(POWERSHELL, context.clock, signal),
    registry: (key, below, signal) => queryRegistry(
      { program: `${systemFolder}\\reg.exe`, args: [] }, key, below, context.clock, signal),
    findData, openDevice: openShadowDevice,
  })
}

/** The same by other ways to the host. */
export function hostPlatform(
  { vssType = 'copy', leaveOut }: HostOptions, ports: HostPorts): Platform {
  const provider = new HostProvider(ports, {
    backupType: vssType, ...leaveOut === undefined ? {} : { leaveOut } })
  return new HostPlatform(provider, ports)
}

class HostPlatform implements Platform {
  readonly kind = 'host'
  readonly #provider: HostProvider
  readonly #name = hostname().toLowerCase()

  readonly #ports: HostPorts

  constructor(provider: HostProvider, ports: HostPorts) {
    this.#provider = provider
    this.#ports = ports
  }

  async machines(signal: AbortSignal): Promise<readonly MachineSummary[]> {
    const disks = await this.#provider.disks(signal)
    return [{ name: this.#name, power: 'running', agent: 'not-needed', disks }]
  }

  async describe(name: string, signal: AbortSignal): ReturnType<Platform['describe']> {
    this.#check(name)
    const disks = await this.#provider.disks(signal)
    return {
      documents: [],
      machine: {
        version: 1, name: this.#name, platform: 'host', firmware: 'unknown', nics: [],
        architecture: process.arch === 'x64' ? 'x86_64'
          : process.arch === 'arm64' ? 'aarch64' : 'other',
        cpuCount: cpus().length, memoryBytes: totalmem(),
        disks: disks.map((disk) => ({ ...disk, bus: 'other' as const })),
      },
    }
  }

  async listWriters(signal: AbortSignal): Promise<WriterList> {
    const { transport, because } = this.#ports
    const writers = await this.#provider.writers(signal)
    return { host: this.#name, transport: transport.name, because, writers }
  }

  provider(name: string): Provider {
    this.#check(name)
    return this.#provider
  }

  #check(name: string): void {
    if (name.toLowerCase() === this.#name) return
    throw new Fault('machine-not-found', `this host is ${printable(this.#name, 100)}, not ${
      printable(name, 100)}`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
