/** The QEMU platform: one machine behind one QMP socket. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { GuestAccess, MachineSummary, Platform } from '../../catalog/mod.ts'
import type { Provider } from '../../consistency/mod.ts'
import { discoverDisks } from './disks.ts'
import { openGuestAccess } from '../machine/guest-access.ts'
import { agentChannel, missingAgent } from './guest-agent.ts'
import { describeMachine, machineDocuments, machineName } from './inventory.ts'
import type { ProviderContext } from '../machine/context.ts'
import type { QemuOptions } from './options.ts'
import { powerOf } from './power.ts'
import { QemuProvider } from './provider.ts'
import type { QmpClient } from './qmp-client.ts'
import { QmpConnection } from './qmp-connection.ts'
import { agentState } from '../machine/ask-agent.ts'
import { defaultRunDir } from '../machine/run-dir.ts'

/**
 * Connects to the machine's QMP socket and learns its name. Dispose it last: while it is open
 * nobody else is served on that socket. Faults: `platform-unreachable`, `platform-protocol`.
 */
export async function openQemuPlatform(
  options: QemuOptions, context: ProviderContext, signal: AbortSignal): Promise<Platform> {
  await using stack = new AsyncDisposableStack()
  const qmp = stack.use(new QmpConnection(options.qmp, context.clock))
  const client = await qmp.client(signal)
  const name = options.name ?? await machineName(client, signal)
  stack.move()
  return new QemuPlatform(name, options, qmp, context)
}

class QemuPlatform implements Platform {
  readonly kind = 'qemu'
  readonly #name: string
  readonly #options: QemuOptions
  readonly #qmp: QmpConnection
  readonly #context: ProviderContext

  constructor(
    name: string, options: QemuOptions, qmp: QmpConnection, context: ProviderContext) {
    this.#name = name
    this.#options = options
    this.#qmp = qmp
    this.#context = context
  }

  async machines(signal: AbortSignal): Promise<readonly MachineSummary[]> {
    const client = await this.#qmp.client(signal)
    const { disks } = await discoverDisks(client, signal)
    return [{
      name: this.#name,
      power: await powerOf(client, signal),
      agent: await this.#agent(client, signal),
      disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    }]
  }

  async #agent(client: QmpClient, signal: AbortSignal): Promise<MachineSummary['agent']> {
    const { agent: path } = this.#options
    if (path === undefined) return 'not-configured'
    const channel = await agentChannel(client, path, signal)
    if (channel === 'held') return 'busy'
    if (await powerOf(client, signal) !== 'running') return 'silent'
    return agentState(path, this.#context.clock, signal)
  }

  async describe(name: string, signal: AbortSignal): ReturnType<Platform['describe']> {
    this.#check(name)
    const client = await this.#qmp.client(signal)
    return {
      machine: await describeMachine(client, this.#name, signal),
      documents: await machineDocuments(client, signal),
    }
  }

  provider(name: string): Provider {
    this.#check(name)
    const { runDir = defaultRunDir(process.getuid?.() ?? 0) } = this.#options
    return new QemuProvider({
      options: this.#options, runDir, qmp: this.#qmp, context: this.#context })
  }

  async openGuest(name: string, signal: AbortSignal): Promise<GuestAccess> {
    this.#check(name)
    const { agent: path } = this.#options
    const client = await this.#qmp.client(signal)
    const channel = path === undefined ? undefined : await agentChannel(client, path, signal)
    const missing = missingAgent(path, channel, await powerOf(client, signal))
    if (path === undefined || missing !== undefined) {
      throw new Fault('machine-not-ready',
        `nothing can be done in ${printable(name, 64)}: ${missing?.detail ?? ''}`, {
          advice: 'Give it the channel of qemu-guest-agent, and name its socket (agent=PATH).' })
    }
    return openGuestAccess(path, this.#context.clock, signal)
  }

  async agentPort(name: string): Promise<string | undefined> {
    this.#check(name)
    return this.#options.channel
  }

  #check(name: string): void {
    if (name === this.#name) return
    throw new Fault('machine-not-found',
      `there is no machine ${printable(name)} at ${printable(this.#options.qmp)}`,
      { advice: `The machine there is called ${printable(this.#name)}.` })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qmp[Symbol.asyncDispose]()
  }
}
