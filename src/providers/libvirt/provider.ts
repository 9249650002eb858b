/** The libvirt provider: what a machine of libvirt would give. */

import { Fault } from '../../base/fault.ts'
import type { PreparedSet, Provider, ProviderSurvey } from '../../consistency/mod.ts'
import { surveyAgent } from '../machine/ask-agent.ts'
import { chooseDisks } from '../machine/choose-disks.ts'
import type { ProviderContext } from '../machine/context.ts'
import { libvirtAgentAddress } from './agent-address.ts'
import { discoverDisks } from './disks.ts'
import { findDomain, powerOf, readDomain } from './domain.ts'
import { readFirmwareState } from './firmware-state.ts'
import { missingAgent } from './guest-agent.ts'
import { isRemote, type LibvirtOptions } from './options.ts'
import { socketFolder } from './socket-folder.ts'
import type { Virsh } from './virsh.ts'

export interface LibvirtProviderParts {
  /** A name or UUID. */
  readonly machine: string
  readonly options: LibvirtOptions
  readonly runDir: string
  readonly virsh: Virsh
  readonly major: number
  readonly context: ProviderContext
}

export class LibvirtProvider implements Provider {
  readonly name = 'libvirt'
  readonly #parts: LibvirtProviderParts

  constructor(parts: LibvirtProviderParts) {
    this.#parts = parts
  }

  prepare(): Promise<PreparedSet> {
    return Promise.reject(new Fault('unsupported', 'machines of libvirt cannot be backed up yet', {
      advice: 'Give the machine a second QMP socket, and use qemu:qmp=PATH.' }))
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const { machine, options: { uri, socketDir }, runDir, virsh, major, context } = this.#parts
    const uuid = await findDomain(virsh, machine, signal)
    const domain = await readDomain(virsh, uuid, signal)
    const power = powerOf(domain)
    const found = discoverDisks(domain, major)
    const { leftOut: firmware } = await readFirmwareState(domain, uri)
    const { disks, leftOut, addresses } = chooseDisks(
      { ...found, leftOut: [...found.leftOut, ...firmware] }, exclude)
    if (domain.id !== undefined && !isRemote(uri)) {
      await socketFolder(domain, {
        uri, configured: socketDir, runDir, userId: process.getuid?.() ?? 0 })
    }
    const freezing = missingAgent(domain, power) ?? await surveyAgent(
      libvirtAgentAddress({ uuid, uri }), addresses, context.clock, signal)
    return {
      power, disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })), leftOut, freezing }
  }
}
