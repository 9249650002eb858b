/**
 * Changed block tracking of vSphere for one run (docs/change-tracking.md): which disks have a
 * base, what has changed since, and what the next run may build on.
 */

import { throwIfAborted } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type {
  DiskBase, FullReason, SetTracking, TrackingRequest,
} from '../../consistency/mod.ts'
import type { Range } from '../../disk/mod.ts'
import { KeptRecord } from '../machine/kept-record.ts'
import { changesOfEach, type TrackedInstant } from '../machine/platform-set.ts'
import { changedAreas } from './changed-areas.ts'
import type { VimDisk } from './devices.ts'
import type { VimMachine } from './machine.ts'
import {
  recordSchema, type TrackedDisk, type TrackedPoint, type TrackingRecord,
} from './tracking-record.ts'
import { isTrackingFlawed, type HostBuild } from './tracking-flaws.ts'
import type { VimClient } from './vim/client.ts'
import { propertiesOf } from './vim/properties.ts'
import type { Moref } from './vim/soap.ts'
import { childOf } from '../../base/xml.ts'

export interface TrackingParts {
  readonly client: VimClient
  readonly machine: VimMachine
  readonly disks: readonly VimDisk[]
  readonly request: TrackingRequest
  readonly pointId: string
  readonly stateDir: string
}

export class VsphereTracking implements SetTracking {
  readonly bases: ReadonlyMap<string, DiskBase>
  readonly #parts: TrackingParts
  readonly #record: KeptRecord<TrackingRecord>
  readonly #base: TrackedPoint | undefined
  readonly #host: HostBuild | undefined
  #next: TrackedPoint | undefined
  #isSealed = false

  private constructor(
    parts: TrackingParts, record: KeptRecord<TrackingRecord>, known: readonly TrackedPoint[],
    host: HostBuild | undefined) {
    this.#parts = parts
    this.#host = host
    this.#record = record
    this.#base = known.findLast(({ pointId }) => parts.request.sealed.includes(pointId))
    this.bases = new Map(parts.disks.map((disk) =>
      [disk.id, this.#isFlawed(disk) ? { full: 'tracking-flawed' as const }
        : baseOf(disk, parts.machine, known, this.#base)]))
  }

  /** What such a host tells is never used, nor built upon what it calls an instant. */
  #isFlawed(disk: VimDisk): boolean {
    return this.#host !== undefined && isTrackingFlawed(this.#host, disk)
  }

  static async begin(parts: TrackingParts, signal: AbortSignal): Promise<VsphereTracking> {
    const { client, machine, request, stateDir } = parts
    const record = new KeptRecord({ stateDir, platform: 'vsphere', log: client.log },
      [client.port.http.url.host, machine.ref.id, request.repositoryId], recordSchema)
    const known = (await record.read())?.points ?? []
    return new VsphereTracking(parts, record, known, await hostBuild(client, machine.host, signal))
  }

  /**
   * Asks for the changes of each disk with a base, and notes what this instant is called, before
   * anything is read: a run that is killed behind its seal has then left what the next one needs.
   */
  async take(
    snapshot: Moref, captured: ReadonlyMap<string, VimDisk>, signal: AbortSignal,
  ): Promise<TrackedInstant> {
    const taken = await changesOfEach(
      { bases: this.bases, captured, before: this.#base?.disks ?? {} },
      (_, disk, before) => this.#changesOf(disk, before, snapshot, signal))
    this.#next = pointOf(this.#parts.pointId,
      new Map([...captured].filter(([, disk]) => !this.#isFlawed(disk))))
    await this.#record.keep({
      version: 1, points: [...this.#base === undefined ? [] : [this.#base], this.#next] })
    return taken
  }

  async #changesOf(
    disk: VimDisk, base: TrackedDisk, snapshot: Moref, signal: AbortSignal,
  ): Promise<readonly Range[] | FullReason> {
    if (!isLaterThan(disk.backing.changeId, base.changeId)) return 'tracking-reset'
    const { client, machine } = this.#parts
    try {
      return await changedAreas(client, {
        machine: machine.ref, snapshot, deviceKey: disk.key, sizeBytes: disk.sizeBytes,
        changeId: base.changeId }, signal)
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error)) throw error
      client.log.warn('vsphere.changes-refused', {
        disk: disk.id, reason: error.message,
        cause: error.cause instanceof Error ? error.cause.message : '' })
      return 'changes-refused'
    }
  }

  sealed(): void {
    this.#isSealed = true
  }

  /** Keeps the point that counts from now on. */
  async settle(): Promise<void> {
    if (this.#next === undefined) return
    const counts = this.#isSealed ? this.#next : this.#base
    await this.#record.keep({ version: 1, points: counts === undefined ? [] : [counts] })
  }
}

/** Undefined where the account may not see it. */
async function hostBuild(
  client: VimClient, host: Moref | undefined, signal: AbortSignal,
): Promise<HostBuild | undefined> {
  if (host === undefined) return undefined
  const { values } = await propertiesOf(client, host, ['config.product'], signal)
  const product = values.get('config.product')
  return {
    version: childOf(product, 'version')?.text ?? '',
    build: Number(childOf(product, 'build')?.text ?? 0),
  }
}

/** Before the instant: whether the disk is still the one that was captured then. */
export function baseOf(
  disk: VimDisk, machine: Pick<VimMachine, 'tracksChanges'>, known: readonly TrackedPoint[],
  base: TrackedPoint | undefined,
): DiskBase {
  if (!machine.tracksChanges) return { full: 'not-tracked' }
  if (base === undefined) return { full: known.length === 0 ? 'bitmap-gone' : 'base-gone' }
  const before = base.disks[disk.id]
  if (before === undefined) return { full: 'bitmap-gone' }
  const isSame = before.key === disk.key && before.uuid === (disk.backing.uuid ?? null) &&
    before.file === disk.backing.fileName
  if (!isSame) return { full: 'disk-replaced' }
  return before.sizeBytes === disk.sizeBytes
    ? { since: base.pointId } : { full: 'disk-resized' }
}

/** A change id is `UUID/n`: of one record while its first part is the same, later while n grows. */
export function isLaterThan(now: string | undefined, before: string): boolean {
  const [, uuid, count] = CHANGE_ID.exec(now ?? '') ?? []
  const [, uuidBefore, countBefore] = CHANGE_ID.exec(before) ?? []
  return uuid !== undefined && uuid === uuidBefore && Number(count) >= Number(countBefore)
}

const CHANGE_ID = /^([^/]{1,200})\/(\d{1,15})$/

function pointOf(pointId: string, captured: ReadonlyMap<string, VimDisk>): TrackedPoint {
  return {
    pointId,
    disks: Object.fromEntries([...captured].flatMap(([id, { key, sizeBytes, backing }]) =>
      backing.changeId === undefined ? [] : [[id, {
        key, uuid: backing.uuid ?? null, file: backing.fileName, sizeBytes,
        changeId: backing.changeId }]])),
  }
}
