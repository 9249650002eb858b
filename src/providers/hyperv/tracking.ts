/** Resilient change tracking of Hyper-V for one run: which disks have a base, what has changed. */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import type { DiskBase, SetTracking, TrackingRequest } from '../../consistency/mod.ts'
import { normalise, type Range } from '../../disk/mod.ts'
import { KeptRecord } from '../machine/kept-record.ts'
import { changesOfEach, type TrackedInstant } from '../machine/platform-set.ts'
import { changesSchema, eventsSchema, type HypervMachine } from './host-answers.ts'
import type { HypervDisk } from './machine.ts'
import type { HypervHost } from './powershell.ts'
import {
  recordSchema, type TrackedDisk, type TrackedPoint, type TrackingRecord,
} from './tracking-record.ts'

export interface TrackingParts {
  readonly host: HypervHost
  readonly log: Log
  readonly machine: HypervMachine
  readonly disks: readonly HypervDisk[]
  readonly request: TrackingRequest
  readonly stateDir: string
}

/** Of one disk; more are read in full. */
const MAX_RANGES = 1_000_000
/** A disk of 64 TiB in pieces of what one answer covers. */
const MAX_ANSWERS = 100_000
const RESETS: ReadonlySet<number> = new Set([8, 9, 10])

export class HypervTracking implements SetTracking {
  readonly bases: ReadonlyMap<string, DiskBase>
  readonly #parts: TrackingParts
  readonly #record: KeptRecord<TrackingRecord>
  readonly #base: TrackedPoint | undefined
  #isSealed = false

  private constructor(
    parts: TrackingParts, record: KeptRecord<TrackingRecord>, known: TrackedPoint | undefined) {
    const isThere = known !== undefined && parts.request.sealed.includes(known.pointId)
    this.#parts = parts
    this.#record = record
    this.#base = known
    this.bases = new Map(parts.disks.map((disk) =>
      [disk.id, baseOf(disk, parts.machine, known, isThere)]))
  }

  static async begin(parts: TrackingParts): Promise<HypervTracking> {
    const { machine, request, stateDir, log } = parts
    const record = new KeptRecord(
      { stateDir, platform: 'hyperv', log }, [machine.id, request.repositoryId], recordSchema)
    return new HypervTracking(parts, record, (await record.read())?.point)
  }

  /** The reference point that this repository's newest point is known by. */
  get base(): TrackedPoint | undefined {
    return this.#base
  }

  get isSealed(): boolean {
    return this.#isSealed
  }

  sealed(): void {
    this.#isSealed = true
  }

  /** What has changed up to the checkpoint, of each disk with a base; `files` by disk id. */
  take(files: ReadonlyMap<string, string>, signal: AbortSignal): Promise<TrackedInstant> {
    const asked = { bases: this.bases, captured: files, before: this.#base?.disks ?? {} }
    return changesOfEach(asked, async (disk, file, was) => {
      try {
        return await this.#changesSince(was, file, signal)
      } catch (error) {
        throwIfAborted(signal)
        if (!isFault(error)) throw error
        const reason = await this.#wasReset(signal) ? 'tracking-reset' : 'changes-refused'
        this.#parts.log.warn('hyperv.not-incremental', { disk, reason, message: error.message })
        return reason
      }
    })
  }

  async #changesSince(
    { sizeBytes, trackingId }: TrackedDisk, path: string, signal: AbortSignal,
  ): Promise<readonly Range[]> {
    const found: Range[] = []
    let offset = 0
    for (let answers = 0; offset < sizeBytes; answers++) {
      if (answers > MAX_ANSWERS) throw nonsense('the answers cover too little each')
      const answer = await this.#parts.host.ask('changes',
        { path, trackingId, offset, length: sizeBytes - offset }, changesSchema, signal)
      if (answer.returnValue !== 0) {
        throw new Fault('platform-refused', `Hyper-V told no changes (${answer.returnValue})`)
      }
      for (const [at, start] of answer.offsets.entries()) {
        const length = answer.lengths[at] ?? 0
        if (start < offset || length < 1 || start + length > sizeBytes) {
          throw nonsense('a change lies outside of the disk')
        }
        found.push({ offset: start, length })
      }
      if (answer.processed < 1 || found.length > MAX_RANGES) throw nonsense('it does not end')
      offset += answer.processed
    }
    return normalise(found)
  }

  /** VHDMP logs that it began anew: since the base counts, and that was a day or a week ago. */
  async #wasReset(signal: AbortSignal): Promise<boolean> {
    const { host, machine } = this.#parts
    try {
      const sinceMs = host.clock.nowMs() - 31 * 86_400_000
      const asked = { sinceMs, name: machine.name }
      const { events } = await host.ask('events', asked, eventsSchema, signal)
      return events.some(({ source, id }) => source.includes('VHDMP') && RESETS.has(id))
    } catch (error) {
      throwIfAborted(signal)
      if (isFault(error)) return false
      throw error
    }
  }

  /** Keeps the reference point that the run's checkpoint became. */
  keep(point: TrackedPoint): Promise<void> {
    return this.#record.keep({ version: 1, point })
  }
}

function baseOf(
  disk: HypervDisk, machine: HypervMachine, known: TrackedPoint | undefined, isThere: boolean,
): DiskBase {
  if (!canTrack(machine, disk)) return { full: 'not-tracked' }
  if (known === undefined) return { full: 'bitmap-gone' }
  if (!isThere) return { full: 'base-gone' }
  const before = known.disks[disk.id]
  if (before === undefined ||
    !machine.referencePoints.some(({ id }) => id === known.referencePoint)) {
    return { full: 'bitmap-gone' }
  }
  if (before.diskId !== disk.diskId) return { full: 'disk-replaced' }
  return before.sizeBytes === disk.sizeBytes ? { since: known.pointId } : { full: 'disk-resized' }
}

/** Configuration version 8 (Server 2016) and VHDX. */
function canTrack(machine: HypervMachine, disk: HypervDisk): boolean {
  return Number.parseFloat(machine.version) >= 8 && /x$/i.test(disk.chain[0] ?? '')
}

function nonsense(how: string): Fault {
  return new Fault('platform-protocol', `what Hyper-V says of changes makes no sense: ${how}`)
}
