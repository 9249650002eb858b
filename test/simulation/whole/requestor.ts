/** One run of the program: connects to the agent, backs the machine up, and ends; or is killed. */

import assert from 'node:assert/strict'
import { runBackup, type BackupRequest, type BackupSummary } from '../../../src/backup/mod.ts'
import { throwIfAborted } from '../../../src/base/clock.ts'
import { Fault, isFault } from '../../../src/base/fault.ts'
import { silentLog } from '../../../src/base/log.ts'
import { NO_PINS, type MachineDescription, type Platform } from '../../../src/catalog/mod.ts'
import { connectRemoteHost } from '../../../src/channel/mod.ts'
import type {
  ApplicationHost, ApplicationHostMissing, Provider,
} from '../../../src/consistency/mod.ts'
import { FakeTracking } from '../../../src/consistency/testing/mod.ts'
import type { Repository } from '../../../src/repository/mod.ts'
import type { Dice } from './dice.ts'
import type { ModelMachine } from './model-machine.ts'
import { ModelGuardian } from './model-guardian.ts'
import { ModelProvider } from './model-provider.ts'
import { SIGNER } from './model-repository.ts'
import type { Moment, RunPlan } from './plan-of-faults.ts'
import type { SimulatedProcess } from './process.ts'
import { troubledReading } from './troubled-reading.ts'
import type { VirtualClock } from './virtual-clock.ts'

export const MACHINE_NAME = 'web1'

export interface RequestorParts {
  readonly process: SimulatedProcess
  readonly common: VirtualClock
  readonly machine: ModelMachine
  readonly tracking: FakeTracking
  /** None for a run that only recovers. */
  readonly repository: Repository | undefined
  readonly plan: RunPlan
  readonly dice: Dice
  readonly moment: (moment: Moment) => void
  readonly note: (text: string) => void
}

export class Requestor {
  readonly #parts: RequestorParts
  readonly #provider: ModelProvider

  constructor(parts: RequestorParts) {
    this.#parts = parts
    const { machine, process, plan, moment } = parts
    this.#provider = new ModelProvider({
      machine, requestor: process, troubles: plan.provider, moment,
      startGuardian: () => this.#startGuardian() })
  }

  /** `stillpoint backup`. Faults as it; a killed process never answers. */
  async backup(signal: AbortSignal): Promise<BackupSummary> {
    await using stack = new AsyncDisposableStack()
    const { repository } = this.#parts
    assert(repository !== undefined)
    await this.#provider.endLeftHolds(signal) // as `atMachine` does, before anything else can fail
    return await runBackup({ ...this.#request(async (signal) => {
      const applications = await this.#connect(signal)
      return 'missing' in applications ? applications : stack.use(applications)
    }), repository }, signal)
  }

  /** `stillpoint recover` */
  recover(signal: AbortSignal): Promise<readonly string[]> {
    return this.#provider.recover(signal)
  }

  /** As `openApplications` does. */
  async #connect(signal: AbortSignal): Promise<ApplicationHost | ApplicationHostMissing> {
    const { machine: { agent }, process, dice } = this.#parts
    if (agent === undefined) return { missing: 'there is no agent of Stillpoint in the guest' }
    const { requestor: channel } = agent.connect()
    channel.mayAct = () => process.touch('a message to the agent')
    channel.whenRunning = (fn) => process.clock.whenRunning(fn)
    try {
      return await connectRemoteHost(
        { channel, clock: process.clock, random: dice.bytes }, signal)
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error, 'agent-unreachable', 'agent-protocol', 'unsupported')) throw error
      return { missing: error.message }
    }
  }

  #request(
    openApplications: BackupRequest['openApplications']): Omit<BackupRequest, 'repository'> {
    const { machine: { plan: machine }, process, plan, dice } = this.#parts
    return {
      platform: this.#platform(), machine: MACHINE_NAME, settings: plan.settings,
      full: plan.full, exclude: machine.exclude, openApplications,
      declaredNoApplications: machine.declaredNone, limits: machine.limits,
      write: { workers: 0, verify: false }, programVersion: 'simulated', clock: process.clock,
      signer: SIGNER, pins: NO_PINS,
      random: dice.bytes, log: silentLog, onEvent: () => {},
    }
  }

  #platform(): Platform {
    const { machine, process } = this.#parts
    return {
      kind: 'qemu',
      machines: () => Promise.reject(new Fault('unsupported', 'the model lists nothing')),
      describe: () => process.outside('describe', async () => ({
        machine: describe(machine), documents: [] })),
      provider: () => this.#trackedProvider(),
      [Symbol.asyncDispose]: async () => {},
    }
  }

  #trackedProvider(): Provider {
    const { machine, process, plan, moment, tracking } = this.#parts
    return troubledReading(tracking.wrap(this.#provider), {
      requestor: process, troubles: plan.provider,
      contentOf: (id) => machine.guest.contentOf(id), onReading: () => moment('reading') })
  }

  #startGuardian(): ModelGuardian {
    const { machine, process, common, note } = this.#parts
    const guardian = new ModelGuardian({
      common, requestor: process, note, connect: () => machine.guestAgent.connect(),
      tidy: (prefix) => { machine.tidy(prefix) } })
    machine.guardians.push({ guardian, of: process })
    return guardian
  }
}

function describe(machine: ModelMachine): MachineDescription {
  return {
    version: 1, name: MACHINE_NAME, platform: 'qemu', architecture: 'x86_64', cpuCount: 1,
    memoryBytes: 1 << 28, firmware: 'bios', nics: [],
    disks: machine.diskIds.map((id) => ({
      id, sizeBytes: machine.sizeOf(id), bus: 'virtio' })),
  }
}
