/** The provider of one machine of vSphere: a snapshot in which the platform itself quiesces. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { sweepWorkingFolders } from '../../base/working-folder.ts'
import type {
  PreparedSet, PrepareRequest, Provider, ProviderSurvey,
} from '../../consistency/mod.ts'
import { chooseDisks } from '../machine/choose-disks.ts'
import { datacenterOf, DatastoreReader } from './datastore.ts'
import { foundDisks } from './devices.ts'
import { whyNotReadable, type ReadingWay } from './flat-disk.ts'
import type { VimMachine } from './machine.ts'
import { VsphereSet } from './prepared-set.ts'
import { missingPrivileges } from './privileges.ts'
import { bestLevel, remarksOn } from './remarks.ts'
import { readMachine, sweepSnapshots } from './snapshots.ts'
import { VsphereTracking } from './tracking.ts'
import type { VddkOptions } from './vddk/vddk-options.ts'
import { checkVddk, vddkRemark } from './vddk/vddk-preflight.ts'
import type { VimClient } from './vim/client.ts'

export interface ProviderParts {
  readonly client: VimClient
  readonly find: (signal: AbortSignal) => Promise<VimMachine>
  readonly stateDir: string
  /** Undefined: disks are read from their datastore. */
  readonly vddk: VddkOptions | undefined
}

export class VsphereProvider implements Provider {
  readonly name = 'vsphere'
  readonly #client: VimClient
  readonly #find: (signal: AbortSignal) => Promise<VimMachine>
  readonly #stateDir: string
  readonly #vddk: VddkOptions | undefined

  constructor({ client, find, stateDir, vddk }: ProviderParts) {
    this.#client = client
    this.#find = find
    this.#stateDir = stateDir
    this.#vddk = vddk
  }

  get #way(): ReadingWay {
    return this.#vddk === undefined ? 'folder' : 'vddk'
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const machine = await this.#find(signal)
    const { disks, leftOut } = chooseDisks(foundDisks(machine.disks), exclude)
    const privileges = await missingPrivileges(this.#client, machine, signal)
    return {
      power: machine.power,
      disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
      leftOut,
      freezing: { by: 'platform', level: bestLevel(machine, disks) },
      remarks: [
        ...remarksOn(machine, privileges, this.#way),
        ...this.#vddk === undefined ? []
          : [await vddkRemark(this.#vddk, this.#client.clock, signal)],
      ],
    }
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet> {
    const client = this.#client
    const found = await this.#find(signal)
    if (found.connection !== 'connected') {
      throw new Fault('machine-not-ready',
        `${printable(found.name, 100)} is ${printable(found.connection, 40)} in vSphere`, {
          retry: 'later', advice: 'See why its host does not answer.' })
    }
    const left = this.#vddk === undefined ? [] : await sweepWorkingFolders('vddk')
    const swept = await sweepSnapshots(client, found, signal)
    for (const sentence of [...left, ...swept]) {
      client.log.warn('vsphere.swept', { released: sentence })
    }
    const machine = swept.length === 0 ? found : await readMachine(client, found.ref, signal)
    const { disks, leftOut } = chooseDisks(foundDisks(machine.disks), request.exclude)
    for (const disk of disks) {
      const why = whyNotReadable(disk, this.#way)
      if (why !== undefined) throw why
    }
    if (this.#vddk !== undefined) await checkVddk(this.#vddk, client.clock, signal)
    // A machine in a vApp has no folder above it; its datastores do.
    const [inDatacenter = machine.ref] = machine.datastores
    const { path } = await datacenterOf(client, inDatacenter, signal)
    const reader = new DatastoreReader(client, path)
    const { pointId, tracking: wanted } = request
    const tracking = wanted === undefined ? undefined : await VsphereTracking.begin({
      client, machine, disks, pointId, request: wanted, stateDir: this.#stateDir }, signal)
    const set = new VsphereSet({
      client, machine, disks, leftOut, reader, pointId, tracking, vddk: this.#vddk })
    if (tracking === undefined || request.isAudit || !mayBeginTracking(machine)) return set
    try {
      await set.beginTracking(signal)
      return set
    } catch (error) {
      await set[Symbol.asyncDispose]()
      throw error
    }
  }

  async recover(signal: AbortSignal): Promise<readonly string[]> {
    return [
      ...this.#vddk === undefined ? [] : await sweepWorkingFolders('vddk'),
      ...await sweepSnapshots(this.#client, await this.#find(signal), signal),
    ]
  }
}

/** With a snapshot there, what would be tracked could be wrong without a word. */
function mayBeginTracking(machine: VimMachine): boolean {
  return !machine.tracksChanges && machine.canTrackChanges && machine.hardwareVersion >= 7 &&
    machine.snapshots.length === 0
}
