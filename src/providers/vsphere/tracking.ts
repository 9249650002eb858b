/**
 * Changed block tracking of vSphere for one run (reference vmware.md §4.8): which disks have a
 * base, what has changed since, and what the next run may build on.
 */

import { throwIfAborted } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type {
  DiskBase, FullReason, SetTracking, TrackingRequest,
} from '../../consistency/mod.ts'
import type { Range } from '../../disk/mod.ts'
import { changedAreas } from './changed-areas.ts'
import type { VimDisk } from './devices.ts'
import type { VimMachine } from './machine.ts'
import {
  readTracked, recordFile, writeTracked, type TrackedDisk, type TrackedPoint,
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

/** What the instant showed of the bases. */
export interface TrackedInstant {
  /** By disk id, of those whose base holds. */
  readonly changes: ReadonlyMap<string, readonly Range[]>
  readonly lostBases: ReadonlyMap<string, FullReason>
}

export class VsphereTracking implements SetTracking {
  readonly bases: ReadonlyMap<string, DiskBase>
  readonly #parts: TrackingParts
  readonly #file: string
  readonly #base: TrackedPoint | undefined
  readonly #host: HostBuild | undefined
  #next: TrackedPoint | undefined
  #isSealed = false

  private constructor(
    parts: TrackingParts, file: string, known: readonly TrackedPoint[],
    host: HostBuild | undefined) {
    this.#parts = parts
    this.#host = host
    this.#file = file
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
    const file = recordFile(
      stateDir, client.port.http.url.host, machine.ref.id, request.repositoryId)
    return new VsphereTracking(
      parts, file, await readTracked(file), await hostBuild(client, machine.host, signal))
  }

  /**
   * Asks for the changes of each disk with a base, and notes what this instant is called, before
   * anything is read: a run that is killed behind its seal has then left what the next one needs.
   */
  async take(
    snapshot: Moref, captured: ReadonlyMap<string, VimDisk>, signal: AbortSignal,
  ): Promise<TrackedInstant> {
    const changes = new Map<string, readonly Range[]>()
    const lostBases = new Map<string, FullReason>()
    for (const [id, disk] of captured) {
      const base = this.#base?.disks[id]
      if (base === undefined || !('since' in (this.bases.get(id) ?? {}))) continue
      const found = await this.#changesOf(disk, base, snapshot, signal)
      if (typeof found === 'string') lostBases.set(id, found)
      else changes.set(id, found)
    }
    this.#next = pointOf(this.#parts.pointId,
      new Map([...captured].filter(([, disk]) => !this.#isFlawed(disk))))
    await this.#write([...this.#base === undefined ? [] : [this.#base], this.#next])
    return { changes, lostBases }
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
      client.log.warn('vsphere-changes-refused', {
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
    await this.#write(counts === undefined ? [] : [counts])
  }

  /** Without the file the next run reads in full, which is no fault. */
  async #write(points: readonly TrackedPoint[]): Promise<void> {
    try {
      await writeTracked(this.#file, points)
    } catch (error) {
      this.#parts.client.log.warn('vsphere-not-tracked', {
        file: this.#file, reason: error instanceof Error ? error.message : String(error),
        advice: 'Name a folder that can be written (stateDir).' })
    }
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
