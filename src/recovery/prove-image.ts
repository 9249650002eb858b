/** Holds a restore point's grade against the captured disks themselves, without booting them. */

import type { Clock } from '../base/clock.ts'
import type { RestorePoint } from '../catalog/mod.ts'
import { checkFileSystems, probeSet, verdictOf, type Verdict } from '../consistency/mod.ts'
import { openDiskImage, type Repository } from '../repository/mod.ts'
import { checkDatabases } from './databases/check-databases.ts'

/**
 * Reads partition tables, superblocks and journals, and of databases their logs: a few megabytes a
 * disk; nothing is mounted. Needs the repository's index, and a shared lock that the caller holds.
 * Faults: those of reading the repository.
 */
export async function proveImage(
  repository: Repository, point: RestorePoint, clock: Clock, signal: AbortSignal,
): Promise<Verdict> {
  await using stack = new AsyncDisposableStack()
  const disks = point.disks.map((disk) =>
    ({ id: disk.id, source: stack.use(openDiskImage(repository, disk.treeId, disk)) }))
  const { evidence, result } = point
  const probed = await probeSet(disks, signal)
  const fileSystems = checkFileSystems(evidence, probed)
  const databases = await checkDatabases({ evidence, result, probed, disks }, clock, signal)
  return verdictOf(result, [...fileSystems, ...databases])
}
