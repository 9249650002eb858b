/** The platform `host`: the Windows that this runs on, as a machine whose volumes are its disks. */

import { cpus, hostname, totalmem } from 'node:os'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { MachineSummary, Platform } from '../../catalog/mod.ts'
import type { Provider } from '../../consistency/mod.ts'
import type { ProviderContext } from '../machine/context.ts'
import type { Command } from './diskshadow/held-script.ts'
import { HostProvider, type HostPorts } from './host-provider.ts'
import { readHostVolumes } from './host-volumes.ts'
import { KoffiTransport } from './native/koffi-transport.ts'
import type { VssBackupType } from './session/transport.ts'
import { openShadowDevice } from './shadow-device.ts'

export interface HostOptions {
  /** Default copy: a full one belongs to whoever keeps the chain of logs. */
  readonly vssType?: VssBackupType
}

const POWERSHELL: Command = { program: 'powershell.exe', args: [] }

/** Touches nothing yet. Fault: `unsupported` anywhere but on Windows. */
export function openHostPlatform(
  options: HostOptions, context: ProviderContext, environment: NodeJS.ProcessEnv): Platform {
  if (process.platform !== 'win32') {
    throw new Fault('unsupported', 'a host is backed up by VSS, and this one is no Windows', {
      advice: 'Back up the virtual machines on it, or file systems with restic.' })
  }
  return hostPlatform(options, {
    ...context,
    transport: new KoffiTransport({ clock: context.clock }),
    volumes: (signal) => readHostVolumes(POWERSHELL, context.clock, signal),
    environment: new Map(Object.entries(environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const])),
    openDevice: openShadowDevice,
  })
}

/** The same by other ways to the host. */
export function hostPlatform({ vssType = 'copy' }: HostOptions, ports: HostPorts): Platform {
  return new HostPlatform(new HostProvider(ports, { backupType: vssType }))
}

class HostPlatform implements Platform {
  readonly kind = 'host'
  readonly #provider: HostProvider
  readonly #name = hostname().toLowerCase()

  constructor(provider: HostProvider) {
    this.#provider = provider
  }

  async machines(signal: AbortSignal): Promise<readonly MachineSummary[]> {
    const { disks } = await this.#provider.survey([], signal)
    return [{ name: this.#name, power: 'running', agent: 'not-configured', disks }]
  }

  async describe(name: string, signal: AbortSignal): ReturnType<Platform['describe']> {
    this.#check(name)
    const { disks } = await this.#provider.survey([], signal)
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
