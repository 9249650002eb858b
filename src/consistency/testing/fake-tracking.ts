/** Change tracking in memory that is always right, unless a test has it hide something. */

import { mergeRanges, type Range } from '../../disk/mod.ts'
import type { DiskBase, SetTracking, TrackingRequest } from '../change-tracking.ts'
import type { CommittedSet, Provider, RequestorHeldSet } from '../provider.ts'

const BLOCK_BYTES = 65_536

interface DiskRecord {
  readonly pointId: string
  /** The disk at that point. */
  readonly bytes: Uint8Array
}

/** One machine's records of changes; they outlive the sets of each run. */
export class FakeTracking {
  /** By repository, then by disk. */
  readonly records = new Map<string, Map<string, DiskRecord>>()
  /** Changes in these blocks are not told: a platform that lies. */
  hides: (diskId: string, offset: number) => boolean = () => false

  /** `provider`, whose sets are held by the requestor, with tracking. */
  wrap(provider: Provider): Provider {
    return {
      name: provider.name,
      survey: (exclude, signal) => provider.survey(exclude, signal),
      prepare: async (request, signal) => {
        const set = await provider.prepare(request, signal)
        if (request.tracking === undefined || set.heldBy === 'platform') return set
        return this.#tracked(set, request.pointId, request.tracking)
      },
    }
  }

  #tracked(
    set: RequestorHeldSet, pointId: string, request: TrackingRequest): RequestorHeldSet {
    const records = this.records.get(request.repositoryId) ?? new Map<string, DiskRecord>()
    this.records.set(request.repositoryId, records)
    const begun = new Map<string, DiskRecord>()
    let isSealed = false
    const tracking: SetTracking = {
      bases: new Map(set.disks.map(({ id }): [string, DiskBase] => [id, baseOf(id)])),
      sealed: () => { isSealed = true },
    }
    return {
      ...set, tracking,
      commit: async (signal) => {
        const committed = await set.commit(signal)
        for (const { id, sizeBytes } of set.disks) {
          await using source = await committed.open(id, signal)
          begun.set(id, { pointId, bytes: await source.read(0, sizeBytes, signal) })
        }
        return this.#withChanges(committed, tracking, records, begun)
      },
      [Symbol.asyncDispose]: async () => {
        if (isSealed) for (const [id, record] of begun) records.set(id, record)
        await set[Symbol.asyncDispose]()
      },
    }

    function baseOf(id: string): DiskBase {
      const record = records.get(id)
      if (record === undefined) return { full: 'bitmap-gone' }
      return request.sealed.includes(record.pointId)
        ? { since: record.pointId } : { full: 'base-gone' }
    }
  }

  #withChanges(
    committed: CommittedSet, { bases }: SetTracking, records: ReadonlyMap<string, DiskRecord>,
    begun: ReadonlyMap<string, DiskRecord>,
  ): CommittedSet {
    return {
      ...committed,
      open: async (id, signal) => {
        const source = await committed.open(id, signal)
        const base = bases.get(id)
        const [then, now] = [records.get(id)?.bytes, begun.get(id)?.bytes]
        if (base === undefined || 'full' in base) return source
        if (then === undefined || now === undefined) return source
        return { ...source, changes: (range) => mergeRanges(this.#changes(id, then, now, range)) }
      },
    }
  }

  async *#changes(
    id: string, then: Uint8Array, now: Uint8Array, { offset, length }: Range,
  ): AsyncGenerator<Range, void, undefined> {
    const end = offset + length
    for (let at = offset; at < end;) {
      const next = Math.min(end, at + BLOCK_BYTES - (at % BLOCK_BYTES))
      const isSame = Buffer.compare(then.subarray(at, next), now.subarray(at, next)) === 0
      if (!isSame && !this.hides(id, at)) yield { offset: at, length: next - at }
      at = next
    }
  }
}
