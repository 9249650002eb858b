/** The provider of one machine of vSphere. */

import { Fault } from '../../base/fault.ts'
import type { PreparedSet, Provider, ProviderSurvey } from '../../consistency/mod.ts'
import { chooseDisks } from './devices.ts'
import type { VimMachine } from './machine.ts'
import { missingPrivileges } from './privileges.ts'
import { bestLevel, remarksOn } from './remarks.ts'
import type { VimClient } from './vim/client.ts'

export class VsphereProvider implements Provider {
  readonly name = 'vsphere'
  readonly #client: VimClient
  readonly #find: (signal: AbortSignal) => Promise<VimMachine>

  constructor(client: VimClient, find: (signal: AbortSignal) => Promise<VimMachine>) {
    this.#client = client
    this.#find = find
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const machine = await this.#find(signal)
    const { disks, leftOut } = chooseDisks(machine.disks, exclude)
    const privileges = await missingPrivileges(this.#client, machine, signal)
    return {
      power: machine.power,
      disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
      leftOut,
      freezing: { by: 'platform', level: bestLevel(machine, disks) },
      remarks: remarksOn(machine, privileges),
    }
  }

  prepare(): Promise<PreparedSet> {
    return Promise.reject(new Fault('unsupported',
      'machines of vSphere can be listed and diagnosed, and not backed up yet', {
        advice: 'Back the guest up through another platform.' }))
  }
}
