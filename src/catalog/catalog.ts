/** All that the repository holds of machines: their restore points, and the records about them. */

import { isFault } from '../base/fault.ts'
import type { ChainLink } from '../consistency/mod.ts'
import type { FileId, Repository, SnapshotFile, StoredSnapshot } from '../repository/mod.ts'
import { isRecord, STILLPOINT_TAG } from './layout.ts'
import { isForeign, NO_PINS, type Pins } from './point-seal.ts'
import { readRecord, type PointRecord } from './records.ts'
import { damagedPoint, readRestorePoint, type ListedPoint } from './restore-point.ts'

export interface Catalog {
  /** Oldest first. */
  readonly points: readonly ListedPoint[]
  /** Those that can be understood. */
  readonly records: readonly PointRecord[]
  /** All snapshot files that are readable, ours and others'. */
  readonly snapshots: ReadonlyMap<FileId, SnapshotFile>
}

/**
 * All restore points, oldest first; snapshots without our tag are not ours and left out. What
 * cannot be understood is listed as damaged, a snapshot file that nobody can read among it: it may
 * have been ours. Faults: those of the store and the index.
 */
export async function readRestorePoints(
  repository: Repository, signal: AbortSignal, pins: Pins = NO_PINS,
): Promise<readonly ListedPoint[]> {
  return (await read(repository, { pins, withRecords: false }, signal)).points
}

/**
 * Points and records. `known` was read before: of it nothing is read again, and what is gone by now
 * is left out. Faults: those of the store and the index.
 */
export async function readCatalog(
  repository: Repository, signal: AbortSignal, pins: Pins = NO_PINS, known?: Catalog,
): Promise<Catalog> {
  const ids = new Set(await repository.snapshotIds(signal))
  const isThere = ({ snapshotId }: { readonly snapshotId: FileId }): boolean => ids.has(snapshotId)
  const added = await read(repository, { pins, withRecords: true, known }, signal)
  return {
    points: [...known?.points.filter(isThere) ?? [], ...added.points]
      .toSorted((a, b) => a.timeMs - b.timeMs),
    records: [...known?.records.filter(isThere) ?? [], ...added.records],
    snapshots: new Map([...known?.snapshots ?? [], ...added.snapshots]
      .filter(([id]) => ids.has(id))),
  }
}

interface ReadOptions {
  readonly pins: Pins
  readonly withRecords: boolean
  readonly known?: Catalog | undefined
}

async function read(
  repository: Repository, { pins, withRecords, known }: ReadOptions, signal: AbortSignal,
): Promise<Catalog> {
  const stored: StoredSnapshot[] = []
  const points: ListedPoint[] = []
  const seen = new Set(known?.points.map(({ snapshotId }) => snapshotId))
  for (const id of await repository.snapshotIds(signal)) {
    if (seen.has(id) || known?.snapshots.has(id) === true) continue
    try {
      stored.push(await repository.snapshot(id, signal))
    } catch (error) {
      // One that is gone by now was forgotten meanwhile.
      if (isFault(error, 'point-not-found')) continue
      points.push(damagedPoint(error, { snapshotId: id, timeMs: 0, machineName: '' }, signal))
    }
  }
  // Only now: what the snapshots refer to is in index files that are at most as new as they are.
  await repository.loadIndex(signal)
  const records: PointRecord[] = []
  for (const snapshot of stored) {
    if (snapshot.snapshot.tags?.includes(STILLPOINT_TAG) === true) {
      points.push(await readRestorePoint(repository, snapshot, pins, signal))
    } else if (withRecords && isRecord(snapshot.snapshot)) {
      const record = await readRecord(repository, snapshot, signal)
      if (record !== undefined) records.push(record)
    }
  }
  return {
    points: points.toSorted((a, b) => a.timeMs - b.timeMs),
    records,
    snapshots: new Map(stored.map(({ id, snapshot }) => [id, snapshot])),
  }
}

/** Which chain: that of a machine in the repository of this id. */
export interface ChainOf {
  readonly machine: string
  readonly repositoryId: string
}

/**
 * What is known of a chain: of genuine statements alone, and where `trusted` is not empty, of those
 * alone that its keys have signed.
 */
export function chainLinks(
  { points, records }: Pick<Catalog, 'points' | 'records'>, of: ChainOf, trusted: Pins,
): readonly ChainLink[] {
  const isOf = (it: ChainOf): boolean =>
    it.machine === of.machine && it.repositoryId === of.repositoryId
  const links: ChainLink[] = []
  for (const { seal } of points) {
    if (seal?.isGenuine !== true || isForeign(seal.signer, trusted)) continue
    const { digest, signer, statement: { evidence, repositoryId, sequence, previous } } = seal
    if (!isOf({ machine: evidence.machine.name, repositoryId })) continue
    const { pointId } = evidence
    links.push({ pointId, digest, signer, sequence, previous, standing: 'present' })
  }
  for (const { signed: { statement, signer: recordedBy, isGenuine } } of records) {
    if (!isGenuine || isForeign(recordedBy, trusted) || !isOf(statement)) continue
    // Whoever checks a point later may have another key than who made it: it is no witness.
    if (statement.kind === 'verdict') continue
    const about = statement.kind === 'tombstones' ? statement.tombstones
      : [{ ...statement, signer: recordedBy }]
    const standing = statement.kind === 'tombstones' ? 'forgotten' : 'witnessed'
    for (const { pointId, digest, sequence, previous, signer } of about) {
      if (isForeign(signer, trusted)) continue
      links.push({ pointId, digest, signer, sequence, previous, standing })
    }
  }
  return links
}
