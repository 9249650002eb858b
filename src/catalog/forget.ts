/** Removes the restore points that a plan lets go, with their records. */

import type { FileId, Repository, RepositoryLock } from '../repository/mod.ts'
import type { Catalog } from './catalog.ts'
import type { ForgetPlan } from './forget-plan.ts'
import { storeRecord } from './records.ts'
import { tombstonesFor, type Undertaker } from './tombstones.ts'

/**
 * Signs that the points are forgotten, and removes them, under the caller's exclusive `lock`. Their
 * tombstones come first: a point that is there although it has one is there, but one that is gone
 * without one looks removed by somebody else. Then records before points, because a point without
 * its record claims less, and a record without its point would stay. After a fault or abort each
 * snapshot is there or gone, whole. Faults: `lock-lost`, those of the store.
 */
export async function carryOutForget(
  repository: Repository, lock: RepositoryLock, all: Catalog, plan: ForgetPlan, by: Undertaker,
  signal: AbortSignal,
): Promise<void> {
  const replaced: FileId[] = []
  for (const { statement, replaces } of tombstonesFor(all, plan.points, by)) {
    await storeRecord(repository, { statement, lock, ...by }, signal)
    replaced.push(...replaces)
  }
  const points = plan.points.flatMap(({ point, decision }) =>
    decision.action === 'forget' ? [point.snapshotId] : [])
  for (const name of [...replaced, ...plan.records, ...points]) {
    await lock.confirm(signal)
    await repository.storage.remove({ kind: 'snapshots', name }, signal)
  }
}
