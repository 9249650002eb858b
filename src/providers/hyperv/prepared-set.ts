/** One machine's checkpoint: made in one call of Hyper-V, read from its files, given back. */

import { deadline, throwIfAborted } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { printable } from '../../base/text.ts'
import type {
  DiskLeftOut, PlatformHeldSet, PowerState, QuiescedSet, QuiesceLevel, QuiesceWish, SetDisk,
  SetTracking,
} from '../../consistency/mod.ts'
import { withChanges, type BlockSource } from '../../disk/mod.ts'
import { hotChanges } from '../machine/hot-changes.ts'
import { giveBack, UNTRACKED } from '../machine/platform-set.ts'
import {
  destroyCheckpoint, makeCheckpoint, nameFor, REMOVE_LIMIT_MS, surveyOne,
} from './checkpoints.ts'
import { eventsSchema, type HypervMachine } from './host-answers.ts'
import { disksOf, powerOf, type HypervDisk } from './machine.ts'
import type { HypervHost } from './powershell.ts'
import { assessQuiesce } from './quiesce.ts'
import { expectedLevel, reasonsIn, remarksOn } from './reasons.ts'
import { convertCheckpoint } from './reference-point.ts'
import type { HypervTracking } from './tracking.ts'

/** For everything that a release does. */
const RELEASE_LIMIT_MS = REMOVE_LIMIT_MS + 15 * 60_000
/** Between looks at whether what was written meanwhile is merged. */
const MERGE_PAUSE_MS = 5_000
const MERGE_LIMIT_MS = 10 * 60_000

export type OpenVirtualDisk = (
  path: string, chain: readonly string[], signal: AbortSignal) => Promise<BlockSource>

export interface SetParts {
  readonly host: HypervHost
  readonly log: Log
  /** As it was at the preparation. */
  readonly machine: HypervMachine
  readonly hostName: string
  /** Whether a Windows may be asked to hold still. */
  readonly mayAsk: boolean
  readonly pointId: string
  readonly disks: readonly HypervDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly tracking: HypervTracking | undefined
  readonly openDisk: OpenVirtualDisk
  /** Held until the set is disposed. */
  readonly lock: AsyncDisposable
}

export class HypervSet implements PlatformHeldSet {
  readonly heldBy = 'platform'
  readonly expected: QuiesceLevel
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly tracking?: SetTracking
  readonly #parts: SetParts
  /** From the moment on at which a checkpoint of ours may exist. */
  #mayExist = false
  #checkpoint: string | undefined
  #disposed: Promise<void> | undefined

  constructor(parts: SetParts) {
    this.#parts = parts
    this.expected = expectedLevel(parts.machine, parts.mayAsk)
    this.disks = parts.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }))
    this.leftOut = parts.leftOut
    this.power = powerOf(parts.machine)
    if (parts.tracking !== undefined) this.tracking = parts.tracking
  }

  async commitQuiesced(wish: QuiesceWish, signal: AbortSignal): Promise<QuiescedSet> {
    throwIfAborted(signal)
    const { host, machine, tracking } = this.#parts
    const { level, why, id } = await this.#take(wish, signal)
    this.#checkpoint = id
    const { machine: after } = await surveyOne(host, machine.id, signal)
    const files = this.#filesOf(after)
    const { changes, lostBases } = await tracking?.take(files, signal) ?? UNTRACKED
    return {
      method: 'hyperv-checkpoint', oneInstant: true, lostBases,
      quiesce: assessQuiesce({ level, why, before: machine, after, previous: tracking?.base }),
      open: async (diskId, signal) => withChanges(
        await this.#open(diskId, files, signal), changes.get(diskId)),
      stillIntact: (signal) => this.#stillIntact(id, signal),
    }
  }

  /** Level 1 wherever the guest can be asked; level 2 only where the wish allows it. */
  async #take(wish: QuiesceWish, signal: AbortSignal): Promise<Taken> {
    const cannot = this.#whyNotHeld(wish)
    if (cannot !== undefined) {
      if (wish === 'or-fail') throw notHeld(cannot, undefined)
      return { level: 2, why: cannot, id: await this.#make(2, signal) }
    }
    const sinceMs = this.#parts.host.clock.nowMs()
    try {
      return { level: 1, why: '', id: await this.#make(1, signal) }
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error, 'platform-refused')) throw error
      const why = [error.message, ...await this.#reasonsSince(sinceMs, signal)].join('; ')
      if (wish === 'or-fail') throw notHeld(why, error)
      this.#parts.log.warn('hyperv.level-1-failed', { reason: printable(why, 400) })
      await this.#removeAll(signal)
      return { level: 2, why, id: await this.#make(2, signal) }
    }
  }

  #whyNotHeld(wish: QuiesceWish): string | undefined {
    if (wish === 'never') return 'the operator asked for no hold'
    if (this.power !== 'running') return `the machine is ${this.power}`
    if (this.expected !== 'none') return undefined
    const asked = ['backup service', 'SCSI controller', 'type of backup']
    const { machine, mayAsk } = this.#parts
    return remarksOn(machine, mayAsk).filter(({ name }) => asked.includes(name))
      .map(({ says }) => says).join('; ')
  }

  #make(level: 1 | 2, signal: AbortSignal): Promise<string> {
    const { host, machine, hostName, pointId } = this.#parts
    this.#mayExist = true
    return makeCheckpoint(host, { machine, hostName, pointId, level }, signal)
  }

  /** Why the host says that a hold failed. */
  async #reasonsSince(sinceMs: number, signal: AbortSignal): Promise<readonly string[]> {
    const { host, machine } = this.#parts
    try {
      const { events } = await host.ask(
        'events', { sinceMs: sinceMs - 1000, name: machine.name }, eventsSchema, signal)
      return reasonsIn(events).map(({ id, says }) => `${says} (event ${id})`)
    } catch (error) {
      throwIfAborted(signal)
      if (isFault(error)) return []
      throw error
    }
  }

  /**
   * The files that hold the instant, by disk id: what the machine wrote to before, and does not
   * any more. Fault: `snapshot-failed`.
   */
  #filesOf(after: HypervMachine): ReadonlyMap<string, string> {
    const now = disksOf(after).disks
    return new Map(this.#parts.disks.map(({ id, chain: [head = ''] }) => {
      const below = now.find((disk) => disk.id === id)?.chain.slice(1) ?? []
      if (!below.some((path) => isSamePath(path, head))) {
        throw new Fault('snapshot-failed',
          `the machine still writes to the file of disk ${id}, or to none of its own`, {
            retry: 'now' })
      }
      return [id, head]
    }))
  }

  async #open(
    diskId: string, files: ReadonlyMap<string, string>, signal: AbortSignal,
  ): Promise<BlockSource> {
    const file = files.get(diskId)
    const disk = this.#parts.disks.find(({ id }) => id === diskId)
    if (file === undefined || disk === undefined) {
      throw new Fault('not-found', `no disk ${diskId} in the captured set`)
    }
    return this.#parts.openDisk(file, disk.chain, signal)
  }

  async #stillIntact(
    checkpoint: string, signal: AbortSignal,
  ): Promise<{ readonly intact: true } | { readonly broken: string }> {
    const { host, machine } = this.#parts
    const { machine: now } = await surveyOne(host, machine.id, signal)
    return now.checkpoints.some(({ id }) => id === checkpoint) ? { intact: true }
      : { broken: 'the checkpoint was removed while it was being read' }
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const { host, machine } = this.#parts
    const { machine: now } = await surveyOne(host, machine.id, signal)
    const { disks, leftOut } = disksOf(now)
    return hotChanges(this.#parts, { disks: [...disks, ...leftOut], leftOut: [] })
  }

  async powerNow(signal: AbortSignal): Promise<PowerState> {
    const { host, machine } = this.#parts
    return powerOf((await surveyOne(host, machine.id, signal)).machine)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#release()
    return this.#disposed
  }

  async #release(): Promise<void> {
    const { host, machine, log, pointId, lock } = this.#parts
    using limit = deadline(host.clock, RELEASE_LIMIT_MS, 'the release of the checkpoint')
    if (this.#mayExist) {
      await giveBack({
        clock: host.clock, log, gone: 'machine-not-found', left: 'hyperv.checkpoint-left',
        fields: { machine: machine.name, checkpoint: nameFor(pointId) },
      }, async (signal) => {
        await this.#convert(signal)
        await this.#removeAll(signal)
        await this.#waitForMerge(signal)
      }, limit.signal)
    }
    await lock[Symbol.asyncDispose]()
  }

  /** Of a sealed point: its checkpoint becomes what the next increment starts from. */
  async #convert(signal: AbortSignal): Promise<void> {
    const { tracking } = this.#parts
    if (tracking?.isSealed !== true || this.#checkpoint === undefined) return
    await convertCheckpoint({ ...this.#parts, tracking }, this.#checkpoint, signal)
  }

  /** All checkpoints of this run, by its name: also one whose making was cut off. */
  async #removeAll(signal: AbortSignal): Promise<void> {
    const { host, machine, pointId } = this.#parts
    const { machine: now } = await surveyOne(host, machine.id, signal)
    for (const { id, name, isRecovery } of now.checkpoints) {
      if (isRecovery && (name === nameFor(pointId) || id === this.#checkpoint)) {
        await destroyCheckpoint(host, id, signal)
      }
    }
  }

  /** Until the machine writes to the files that it wrote to before. */
  async #waitForMerge(signal: AbortSignal): Promise<void> {
    const { host, machine, disks, log } = this.#parts
    const startMs = host.clock.monotonicMs()
    for (;;) {
      const now = disksOf((await surveyOne(host, machine.id, signal)).machine).disks
      const unmerged = disks.filter(({ id, chain: [head = ''] }) => now.some((disk) =>
        disk.id === id && disk.chain.slice(1).some((it) => isSamePath(it, head))))
      if (unmerged.length === 0) return
      if (host.clock.monotonicMs() - startMs > MERGE_LIMIT_MS) {
        log.warn('hyperv.still-merging', { machine: machine.name,
          disks: unmerged.map(({ id }) => id), advice: 'Hyper-V goes on by itself.' })
        return
      }
      await host.clock.sleep(MERGE_PAUSE_MS, signal)
    }
  }
}

interface Taken {
  readonly level: 1 | 2
  readonly why: string
  readonly id: string
}

function notHeld(why: string, cause: unknown): Fault {
  return new Fault('freeze-failed', `Hyper-V cannot hold the guest: ${printable(why, 600)}`, {
    cause, advice: 'Do what stillpoint doctor says, or accept a weaker grade.' })
}

/** Windows' names are the same in any case. */
function isSamePath(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
