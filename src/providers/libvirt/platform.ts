/** The libvirt platform: all QEMU machines of one libvirtd. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { GuestAccess, MachineSummary, Platform } from '../../catalog/mod.ts'
import type { Provider } from '../../consistency/mod.ts'
import { agentState } from '../machine/ask-agent.ts'
import type { ProviderContext } from '../machine/context.ts'
import { openGuestAccess } from '../machine/guest-access.ts'
import { defaultRunDir } from '../machine/run-dir.ts'
import { libvirtAgentAddress } from './agent-address.ts'
import { discoverDisks } from './disks.ts'
import { findDomain, listDomains, powerOf, readDomain, type Domain } from './domain.ts'
import { readFirmwareState } from './firmware-state.ts'
import { missingAgent, openedPort } from './guest-agent.ts'
import { describeDomain, domainDocuments, qemuMajor } from './inventory.ts'
import { isRemote, type LibvirtOptions } from './options.ts'
import { LibvirtProvider } from './provider.ts'
import { Virsh } from './virsh.ts'

/**
 * Connects to libvirt; dispose it. Faults: `platform-unreachable`, `program-missing`.
 */
export async function openLibvirtPlatform(
  options: LibvirtOptions, context: ProviderContext, signal: AbortSignal): Promise<Platform> {
  await using stack = new AsyncDisposableStack()
  const virsh = stack.use(new Virsh(options.uri, context.clock, context.random))
  const major = await qemuMajor(virsh, signal)
  stack.move()
  return new LibvirtPlatform(options, virsh, major, context)
}

class LibvirtPlatform implements Platform {
  readonly kind = 'libvirt'
  readonly #options: LibvirtOptions
  readonly #virsh: Virsh
  readonly #major: number
  readonly #context: ProviderContext

  constructor(
    options: LibvirtOptions, virsh: Virsh, major: number, context: ProviderContext) {
    this.#options = options
    this.#virsh = virsh
    this.#major = major
    this.#context = context
  }

  async machines(signal: AbortSignal): Promise<readonly MachineSummary[]> {
    const found: MachineSummary[] = []
    for (const uuid of await listDomains(this.#virsh, signal)) {
      const summary = await this.#summary(uuid, signal)
      if (summary !== undefined) found.push(summary)
    }
    return found.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Undefined for a machine that went away meanwhile. */
  async #summary(uuid: string, signal: AbortSignal): Promise<MachineSummary | undefined> {
    try {
      const domain = await readDomain(this.#virsh, uuid, signal)
      const power = listedPower(domain)
      return {
        name: domain.name, power, agent: await this.#agent(domain, power, signal),
        disks: discoverDisks(domain, this.#major).disks
          .map(({ id, sizeBytes }) => ({ id, sizeBytes })),
      }
    } catch (error) {
      if (error instanceof Fault && error.code === 'machine-not-found') return undefined
      throw error
    }
  }

  async #agent(
    domain: Domain, power: MachineSummary['power'], signal: AbortSignal,
  ): Promise<MachineSummary['agent']> {
    const missing = missingAgent(domain, power)
    if (missing !== undefined) {
      return missing.missing === 'no-agent-configured' ? 'not-configured' : 'silent'
    }
    return agentState(this.#agentPath(domain.uuid), this.#context.clock, signal)
  }

  #agentPath(uuid: string): string {
    return libvirtAgentAddress({ uuid, uri: this.#options.uri })
  }

  async describe(name: string, signal: AbortSignal): ReturnType<Platform['describe']> {
    const uuid = await findDomain(this.#virsh, name, signal)
    const domain = await readDomain(this.#virsh, uuid, signal)
    const { documents } = await readFirmwareState(domain, this.#options.uri)
    return {
      machine: describeDomain(domain, this.#major),
      documents: [...await domainDocuments(this.#virsh, uuid, signal), ...documents],
    }
  }

  provider(name: string): Provider {
    const { runDir = defaultRunDir(process.getuid?.() ?? 0) } = this.#options
    return new LibvirtProvider({
      machine: name, options: this.#options, runDir, virsh: this.#virsh, major: this.#major,
      context: this.#context })
  }

  async openGuest(name: string, signal: AbortSignal): Promise<GuestAccess> {
    const uuid = await findDomain(this.#virsh, name, signal)
    const domain = await readDomain(this.#virsh, uuid, signal)
    const missing = missingAgent(domain, powerOf(domain))
    if (missing !== undefined) {
      throw new Fault('machine-not-ready',
        `nothing can be done in ${printable(name, 64)}: ${missing.detail}`, {
          advice: 'Give it a channel org.qemu.guest_agent.0, and qemu-guest-agent.' })
    }
    return openGuestAccess(this.#agentPath(uuid), this.#context.clock, signal)
  }

  async agentPort(name: string, signal: AbortSignal): Promise<string | undefined> {
    if (isRemote(this.#options.uri)) return undefined
    const uuid = await findDomain(this.#virsh, name, signal)
    return openedPort(await readDomain(this.#virsh, uuid, signal))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#virsh[Symbol.asyncDispose]()
  }
}

/** In a list, a machine that cannot be captured now does not hide the others. */
function listedPower(domain: Domain): MachineSummary['power'] {
  try {
    return powerOf(domain)
  } catch {
    return 'paused'
  }
}
