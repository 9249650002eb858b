/** The provider of one machine of Hyper-V: a checkpoint in which the platform itself quiesces. */

import { Fault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { printable } from '../../base/text.ts'
import type {
  PreparedSet, PrepareRequest, Provider, ProviderSurvey, SurveyRemark,
} from '../../consistency/mod.ts'
import { chooseDisks } from '../machine/choose-disks.ts'
import { surveyOne, sweepCheckpoints } from './checkpoints.ts'
import { eventsSchema, type HypervHostFacts, type HypervMachine } from './host-answers.ts'
import { disksOf, powerOf } from './machine.ts'
import type { HypervHost } from './powershell.ts'
import { HypervSet, type OpenVirtualDisk } from './prepared-set.ts'
import { expectedLevel, reasonsIn, remarksOn } from './reasons.ts'
import { lockMachine } from './run-lock.ts'
import { HypervTracking } from './tracking.ts'

/** How far back doctor looks into the host's log. */
const RECENT_MS = 7 * 86_400_000

export interface ProviderParts {
  readonly host: HypervHost
  readonly log: Log
  readonly stateDir: string
  /** The id of the machine by the name that was given. */
  readonly find: (signal: AbortSignal) => Promise<string>
  readonly openDisk: OpenVirtualDisk
  /** The operator accepts that applications truncate their logs. */
  readonly acceptsTruncation: boolean
}

export class HypervProvider implements Provider {
  readonly name = 'hyperv'
  readonly #parts: ProviderParts

  constructor(parts: ProviderParts) {
    this.#parts = parts
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const { host, find } = this.#parts
    const { machine, facts } = await surveyOne(host, await find(signal), signal)
    const { disks, leftOut } = chooseDisks(disksOf(machine), exclude)
    return {
      power: powerOf(machine),
      disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
      leftOut,
      freezing: { by: 'platform', level: expectedLevel(machine, this.#askable(facts)) },
      remarks: [...ownerRemark(machine, facts.name), ...remarksOn(machine, this.#askable(facts)),
        ...await this.#recent(machine, signal)],
    }
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet> {
    const { host, log, stateDir, find, openDisk } = this.#parts
    const id = await find(signal)
    await using stack = new AsyncDisposableStack()
    const lock = stack.use(await lockMachine(id))
    const { machine, facts } = await this.#swept(id, signal)
    const { disks, leftOut } = chooseDisks(disksOf(machine), request.exclude)
    const { pointId, tracking: wanted } = request
    const tracking = wanted === undefined ? undefined : await HypervTracking.begin(
      { host, log, machine, disks, request: wanted, stateDir })
    stack.move()
    return new HypervSet({
      host, log, machine, hostName: facts.name, mayAsk: this.#askable(facts), pointId, disks,
      leftOut, tracking, openDisk, lock })
  }

  async recover(signal: AbortSignal): Promise<readonly string[]> {
    const { host, find } = this.#parts
    const id = await find(signal)
    await using _lock = await lockMachine(id)
    const { machine, facts } = await surveyOne(host, id, signal)
    return await sweepCheckpoints(host, machine, facts.name, signal)
  }

  /** The machine without what a killed run left. Call it with the machine's lock. */
  async #swept(id: string, signal: AbortSignal): ReturnType<typeof surveyOne> {
    const { host, log } = this.#parts
    const found = await surveyOne(host, id, signal)
    const { machine, facts: { name: hostName } } = found
    if (!isHere(machine, hostName)) {
      throw new Fault('machine-not-ready', `${printable(machine.name, 100)} belongs to the node ${
        printable(machine.ownerNode ?? '', 64)} of the cluster, and this is ${
        printable(hostName, 64)}`, {
        retry: 'later', advice: 'Run the backup on that node.' })
    }
    const swept = await sweepCheckpoints(host, machine, hostName, signal)
    for (const sentence of swept) log.warn('hyperv.swept', { released: sentence })
    return swept.length === 0 ? found : surveyOne(host, id, signal)
  }

  /** Whether a Windows may be asked to hold still: what the host then asks for may be a FULL. */
  #askable({ canCopy }: HypervHostFacts): boolean {
    return canCopy || this.#parts.acceptsTruncation
  }

  /** What the host logged lately that bears on backups. A log that cannot be read is none. */
  async #recent(
    machine: HypervMachine, signal: AbortSignal): Promise<readonly SurveyRemark[]> {
    const { host } = this.#parts
    const sinceMs = host.clock.nowMs() - RECENT_MS
    const asked = { sinceMs, name: machine.name }
    const { events } = await host.ask('events', asked, eventsSchema, signal)
    return reasonsIn(events).map(({ id, says, advice }) => ({
      name: `event ${id}`, says: `${says} (logged by the host in the last week)`,
      ...advice === undefined ? {} : { advice } }))
  }
}

function isHere({ isClustered, ownerNode }: HypervMachine, hostName: string): boolean {
  return !isClustered || ownerNode === null || ownerNode.toLowerCase() === hostName.toLowerCase()
}

function ownerRemark(machine: HypervMachine, hostName: string): readonly SurveyRemark[] {
  if (!machine.isClustered) return []
  const owner = printable(machine.ownerNode ?? 'not told', 64)
  return [isHere(machine, hostName)
    ? { name: 'cluster', says: `owned by this node (${owner})` }
    : { name: 'cluster', says: `owned by the node ${owner}, not by this one`,
      advice: 'Back it up there.' }]
}
