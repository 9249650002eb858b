/**
 * The provider, modelled on that of QEMU: what earlier runs left is released first, then a guardian
 * is started and the agent asked, then nodes are made in the machine. The guardian, its record and
 * the freezer are the real ones.
 *
 * It runs in the requestor's process: whatever it asks of the machine may be its last act.
 */

import { Fault, isFault } from '../../../src/base/fault.ts'
import type {
  CommittedSet, FileSystemFreezer, FreezerMissing, PlatformQuiesce, PreparedSet, PrepareRequest,
  Provider, ProviderSurvey,
} from '../../../src/consistency/mod.ts'
import {
  Guard, GuardedFreezer, recordFileFor, thawLeftovers, type StartGuardian,
} from '../../../src/providers/testing/mod.ts'
import type { BlockSource } from '../../../src/disk/mod.ts'
import type { ModelMachine } from './model-machine.ts'
import type { Moment, ProviderTroubles } from './plan-of-faults.ts'
import type { SimulatedProcess } from './process.ts'
import { captureInstant } from './truth.ts'
import { NEVER } from './virtual-clock.ts'

export interface ProviderParts {
  readonly machine: ModelMachine
  readonly requestor: SimulatedProcess
  readonly troubles: ProviderTroubles
  readonly startGuardian: StartGuardian
  readonly moment: (moment: Moment) => void
}

const AGENT_ANSWER_MS = 10_000
const WAIT_FOR_GUARDIAN_MS = 10_000

export class ModelProvider implements Provider {
  readonly name = 'model'
  readonly #parts: ProviderParts

  constructor(parts: ProviderParts) {
    this.#parts = parts
  }

  survey(): Promise<ProviderSurvey> {
    return Promise.reject(new Fault('unsupported', 'the model surveys nothing'))
  }

  async endLeftHolds(signal: AbortSignal): Promise<void> {
    await this.#releaseLeftHolds(signal)
  }

  async recover(signal: AbortSignal): Promise<readonly string[]> {
    const released = await this.#releaseLeftHolds(signal)
    if (released !== undefined) throw new Fault('thaw-failed', released.detail)
    return this.#sweep()
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet> {
    const { machine, requestor, troubles, moment } = this.#parts
    const { plan } = machine
    const unreleased = await this.#releaseLeftHolds(signal)
    await this.#sweep()
    const captured = machine.diskIds.filter((id) => !request.exclude.includes(id))
    const prefix = `stillpoint-${request.pointId}-`
    const guard = new Guard({
      sockets: machine.sockets, nodePrefix: prefix, clock: requestor.clock, settings: {},
      recordFile: recordFileFor(machine.runDir, machine.sockets, request.pointId.slice(0, 8)),
      start: this.#parts.startGuardian })
    await using undo = new AsyncDisposableStack()
    undo.defer(async () => {
      await requestor.outside('releasing the machine', async () => { machine.tidy(prefix) })
      await guard[Symbol.asyncDispose]()
    })
    const power = plan.power === 'running' || !machine.guest.isDown ? 'running' : plan.power
    const freezer = await this.#freezer(guard, power === 'running', unreleased)
    await requestor.outside('adding nodes', async () => {
      await requestor.clock.sleep(5, signal)
      if (troubles.prepareFails) throw new Fault('platform-refused', 'no nodes, on purpose')
      machine.left.add(`${prefix}nodes`)
    })
    const owned = undo.move()
    const base = {
      disks: captured.map((id) => ({ id, sizeBytes: machine.sizeOf(id) })),
      leftOut: request.exclude.map((id) =>
        ({ id, reason: 'excluded', detail: 'named by the operator' }) as const),
      power,
      recheck: async () => machine.diskIds
        .filter((id) => !captured.includes(id) && !request.exclude.includes(id))
        .map((id) => ({ id, reason: 'hot-added', detail: 'added meanwhile' }) as const),
      powerNow: async () => machine.guest.isDown ? plan.power : 'running',
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    } as const
    moment('prepared')
    const commit = (quiesce?: () => Disposable): Promise<CommittedSet> =>
      requestor.outside('commit', () => this.#commit(request.pointId, prefix, captured, quiesce))
    return plan.heldBy === 'requestor'
      ? { ...base, heldBy: 'requestor', freezer, commit: () => commit() }
      : { ...base, heldBy: 'platform', expected: 'filesystem', commitQuiesced: async () => {
        const held = { level: 'none' as PlatformQuiesce['claimed'] }
        const committed = await commit(() => this.#quiesce(held))
        return { ...committed, quiesce: documented(held.level) }
      } }
  }

  /** As QemuProvider does: a hold that cannot be shown to be released makes the agent useless. */
  async #releaseLeftHolds(signal: AbortSignal): Promise<FreezerMissing | undefined> {
    const { machine, requestor, startGuardian } = this.#parts
    const endMs = requestor.clock.monotonicMs() + WAIT_FOR_GUARDIAN_MS
    while (machine.hasGuardian(requestor)) {
      if (requestor.clock.monotonicMs() > endMs) {
        throw new Fault('machine-busy', 'the guardian of another run holds the guest')
      }
      await requestor.clock.sleep(100, signal)
    }
    const { runDir, sockets } = machine
    for (const left of await thawLeftovers(
      runDir, sockets, requestor.clock, {}, signal, startGuardian)) {
      if (!left.released) return { missing: 'agent-silent', detail: left.detail }
    }
    return undefined
  }

  #sweep(): Promise<readonly string[]> {
    const { machine, requestor } = this.#parts
    return requestor.outside('sweeping', async () => machine.tidy('stillpoint-'))
  }

  async #freezer(
    guard: Guard, runs: boolean, unreleased: FreezerMissing | undefined,
  ): Promise<FileSystemFreezer | FreezerMissing> {
    const { machine: { plan, diskIds }, requestor } = this.#parts
    const isMissing = !plan.hasGuestAgent || !runs || plan.heldBy === 'platform'
    if (unreleased !== undefined || isMissing) {
      await guard.open(0)
      return unreleased ?? { missing: 'no-agent-configured', detail: 'there is none' }
    }
    try {
      const agent = await guard.open(AGENT_ANSWER_MS)
      if (agent === null) return { missing: 'agent-silent', detail: 'it was not asked' }
      if (agent.status === 'frozen') return { missing: 'agent-busy', detail: 'frozen by others' }
      return new GuardedFreezer({
        guard, clock: requestor.clock, agent: `qemu-ga ${agent.version}`,
        diskIdsOf: (found) => found.flatMap(({ pci }) => diskIds[pci.slot] ?? []) })
    } catch (error) {
      if (!isFault(error, 'agent-unreachable', 'agent-protocol', 'agent-refused', 'timed-out')) {
        throw error
      }
      return { missing: 'agent-silent', detail: error.message }
    }
  }

  async #commit(
    pointId: string, prefix: string, captured: readonly string[],
    quiesce: (() => Disposable) | undefined,
  ): Promise<CommittedSet> {
    const { machine, requestor: { clock }, troubles, moment } = this.#parts
    const [beforeMs, afterMs] = troubles.commitTakesMs
    moment('committing')
    await clock.sleep(beforeMs, NEVER)
    if (troubles.commitFails === 'before') throw new Fault('snapshot-failed', 'on purpose')
    // A platform goes on by itself, whatever becomes of who asked it.
    const pace = quiesce === undefined ? clock : machine.guest.clock
    const held = quiesce?.()
    const truth = await captureInstant(machine.guest, machine.diskIds, captured, async () => {
      if (troubles.instantGapMs > 0) await pace.sleep(troubles.instantGapMs, NEVER)
    })
    held?.[Symbol.dispose]()
    machine.instants.set(pointId, truth)
    machine.left.add(`${prefix}snapshot`)
    moment('instant')
    await clock.sleep(afterMs, NEVER)
    if (troubles.commitFails === 'after') throw new Fault('snapshot-failed', 'no answer')
    return {
      method: 'model', oneInstant: troubles.instantGapMs === 0,
      open: async (id) => sourceOf(id, truth.contents.get(id)),
      stillIntact: async () => ({ intact: true }),
    }
  }

  /** The platform holds what it can for the time of its own call. */
  #quiesce(held: { level: PlatformQuiesce['claimed'] }): Disposable {
    const { machine: { guest, plan }, troubles } = this.#parts
    const works = plan.hasGuestAgent && !troubles.quiescesNothing && !guest.isDown
    if (!works) return { [Symbol.dispose]: () => {} }
    held.level = 'filesystem'
    guest.freeze()
    return { [Symbol.dispose]: () => { guest.thaw() } }
  }
}

function sourceOf(id: string, bytes: Uint8Array<ArrayBuffer> | undefined): BlockSource {
  if (bytes === undefined) throw new Fault('not-found', `${id} is not in the set`)
  return {
    name: `captured ${id}`, sizeBytes: bytes.length,
    read: async (offset, length) => bytes.slice(offset, offset + length),
    [Symbol.asyncDispose]: async () => {},
  }
}

/** It always claims success; what its documents show is the truth. */
function documented(level: PlatformQuiesce['claimed']): PlatformQuiesce {
  const shows = level === 'none' ? 'nothing' : level
  return { claimed: 'filesystem', documents: [{ name: 'task', text: `level ${level}`, shows }] }
}
