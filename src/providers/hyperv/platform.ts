/** The Hyper-V platform: all machines of this host. */

import { dirname } from 'node:path'
import { canonicalJson } from '../../base/canonical-json.ts'
import { Fault } from '../../base/fault.ts'
import { programPlaces, thisSystem } from '../../base/program-places.ts'
import { printable } from '../../base/text.ts'
import type { MachineSummary, Platform } from '../../catalog/mod.ts'
import type { Provider } from '../../consistency/mod.ts'
import { openVirtualDisk } from '../../disk/mod.ts'
import type { ProviderContext } from '../machine/context.ts'
import { surveyOne } from './checkpoints.ts'
import { surveySchema, type HypervMachine } from './host-answers.ts'
import { describe, disksOf, powerOf, serviceOf } from './machine.ts'
import { DEFAULT_POWERSHELL, type HypervOptions } from './options.ts'
import { HypervHost, powershell, type RunScript } from './powershell.ts'
import type { OpenVirtualDisk } from './prepared-set.ts'
import { HypervProvider } from './provider.ts'

/** Starts nothing yet. Dispose it. */
export function openHypervPlatform(options: HypervOptions, context: ProviderContext): Platform {
  return hypervPlatform(
    powershell(options.powershell ?? DEFAULT_POWERSHELL), options, context, openFile)
}

/** What is below a disk lies where the host says that its chain does, and nowhere else. */
const openFile: OpenVirtualDisk = (path, chain, signal) =>
  openVirtualDisk(path, /\.vhd$/i.test(path) ? 'vhd' : 'vhdx', [...new Set(chain.map((it) =>
    dirname(it)))], signal)

/** The same with another way to run scripts. */
export function hypervPlatform(
  run: RunScript, options: HypervOptions, context: ProviderContext,
  openDisk: OpenVirtualDisk,
): Platform {
  return new HypervPlatform(run, options, context, openDisk)
}

class HypervPlatform implements Platform {
  readonly kind = 'hyperv'
  readonly #host: HypervHost
  readonly #stateDir: string
  readonly #context: ProviderContext
  readonly #openDisk: OpenVirtualDisk
  readonly #acceptsTruncation: boolean

  constructor(
    run: RunScript,
    { stateDir = programPlaces(thisSystem()).state, acceptLogTruncation = false }: HypervOptions,
    context: ProviderContext, openDisk: OpenVirtualDisk) {
    this.#acceptsTruncation = acceptLogTruncation
    this.#host = new HypervHost(run, context.clock)
    this.#stateDir = stateDir
    this.#context = context
    this.#openDisk = openDisk
  }

  async machines(signal: AbortSignal): Promise<readonly MachineSummary[]> {
    const { machines } = await this.#host.ask('survey', { id: null }, surveySchema, signal)
    return machines.map((machine): MachineSummary => ({
      name: machine.name, power: powerOf(machine), agent: agentOf(machine),
      disks: disksOf(machine).disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    })).toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  }

  async describe(name: string, signal: AbortSignal): ReturnType<Platform['describe']> {
    const { machine } = await surveyOne(this.#host, await this.#find(name, signal), signal)
    return {
      machine: describe(machine),
      documents: [{ name: 'hyperv.json', text: canonicalJson(definitionOf(machine)) }],
    }
  }

  provider(name: string): Provider {
    return new HypervProvider({
      host: this.#host, log: this.#context.log, stateDir: this.#stateDir, openDisk: this.#openDisk,
      acceptsTruncation: this.#acceptsTruncation, find: (signal) => this.#find(name, signal) })
  }

  /** By its name, or by its id where names repeat. */
  async #find(name: string, signal: AbortSignal): Promise<string> {
    const { machines } = await this.#host.ask('survey', { id: null }, surveySchema, signal)
    const named = machines.filter((it) => it.name === name)
    const [found, ...others] = named.length > 0 ? named
      : machines.filter(({ id }) => id === name.toLowerCase())
    if (found === undefined) {
      throw new Fault('machine-not-found', `Hyper-V here has no machine ${printable(name, 100)}`, {
        advice: 'stillpoint machines lists those that there are.' })
    }
    if (others.length > 0) {
      throw new Fault('machine-not-found',
        `${named.length} machines here are called ${printable(name, 100)}`, {
          advice: `Name one by its id: ${named.map(({ id }) => id).join(', ')}.` })
    }
    return found.id
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function agentOf(machine: HypervMachine): MachineSummary['agent'] {
  const vss = serviceOf(machine, 'vss')
  if (vss?.enabled !== true) return 'disabled'
  return vss.primary === 'Ok' ? 'answers' : 'silent'
}

/** What of Hyper-V's own description is kept: nothing that could hold a secret. */
function definitionOf(machine: HypervMachine): object {
  const { id, name, version, generation, checkpointType, guestOs, disks } = machine
  return { id, name, version, generation, checkpointType, guestOs,
    disks: disks.map(({ controller, number, location, chain }) =>
      ({ controller, number, location, files: chain.map(({ path }) => path) })) }
}
