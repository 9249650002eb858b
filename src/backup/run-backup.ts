/** The life of one backup, in its order (docs/architecture.md). */

import { uuid } from '../base/random.ts'
import { bestGradeSoFar, readCatalog } from '../catalog/mod.ts'
import type { PreparedSet } from '../consistency/mod.ts'
import { RoundOfApplications, type MachineNow } from './applications.ts'
import type { BackupRequest } from './backup-request.ts'
import type { BackupSummary } from './backup-summary.ts'
import { capture } from './capture.ts'
import { completeSet, recordCompletion } from './completion.ts'
import { planDisk, sealedPoints, type PlannedDisk } from './disk-bases.ts'
import { trustedBy } from './next-place.ts'
import { takeSnapshotSet } from './snapshot-set.ts'

/**
 * Backs one machine up. A result weaker than the policy allows is no fault: the summary says so,
 * and whether a point was stored. The machine is as it was when this resolves or throws.
 * Faults: those of the repository, the platform and the provider; none leaves a point.
 */
export async function runBackup(
  request: BackupRequest, signal: AbortSignal): Promise<BackupSummary> {
  const { repository, platform, clock, onEvent } = request
  const startedMs = clock.monotonicMs()
  const pointId = uuid(request.random)
  await using lock = await repository.lock('shared', signal)
  const running = AbortSignal.any([signal, lock.lost])

  onEvent({ kind: 'phase', phase: 'preparing' })
  const catalog = await readCatalog(repository, running, request.pins)
  const { points } = catalog
  const description = await platform.describe(request.machine, running)
  const { name } = description.machine
  const sealed = sealedPoints(points, name, trustedBy(request))
  await using prepared = await platform.provider(request.machine).prepare({
    pointId, exclude: request.exclude,
    tracking: { repositoryId: repository.id, sealed: sealed.map((point) => point.pointId) },
  }, running)
  const plans = new Map<string, PlannedDisk>()
  for (const disk of prepared.disks) {
    plans.set(disk.id, await planDisk({ repository, points: sealed, records: catalog.records },
      disk, prepared.tracking, request.full, running))
  }
  await using applications =
    await RoundOfApplications.prepare(request, machineNow(prepared, pointId), running)
  // No machine is held for a backup that could not be stored.
  await lock.confirm(running)
  const taken = await takeSnapshotSet(request, {
    pointId, machine: description.machine, bestSoFar: bestGradeSoFar(points, name), applications,
  }, prepared, running)
  const summary = await capture(request, { description, taken, plans, lock, catalog }, running)
  const { stored } = summary
  if ('snapshotId' in stored) {
    prepared.tracking?.sealed()
    const told = [
      ...await applications.complete(running), ...await completeSet(request, prepared, running)]
    await recordCompletion(request, { pointId, machine: name, sealed: stored, told, lock }, running)
  }
  onEvent({ kind: 'phase', phase: 'releasing' })
  return { ...summary, durationMs: clock.monotonicMs() - startedMs }
}

/** The freeze may be what holds the applications, so what leads to them is what freezes. */
function machineNow(set: PreparedSet, pointId: string): MachineNow {
  const { power } = set
  const programs = set.heldBy === 'requestor' && 'programs' in set.freezer
    ? set.freezer.programs : undefined
  return programs === undefined ? { power }
    : { power, inside: { programs, nonce: pointId.replaceAll('-', '') } }
}
