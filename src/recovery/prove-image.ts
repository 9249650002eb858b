/** Holds a restore point's grade against the captured disks themselves, without booting them. */

import type { RestorePoint } from '../catalog/mod.ts'
import {
  checkFileSystems, claimsOf, probeSet, verdictOf, type Check, type Verdict,
} from '../consistency/mod.ts'
import { openDiskImage, type Repository } from '../repository/mod.ts'

/** What an application left in the image is not read yet: that is said, and not passed over. */
const NOT_READ = 'what it keeps in the image is not looked into'

/**
 * Reads partition tables, superblocks and journals: a few megabytes a disk, nothing is mounted.
 * Needs the repository's index, and a shared lock that the caller holds. Faults: those of reading
 * the repository.
 */
export async function proveImage(
  repository: Repository, point: RestorePoint, signal: AbortSignal): Promise<Verdict> {
  await using stack = new AsyncDisposableStack()
  const disks = point.disks.map((disk) =>
    ({ id: disk.id, source: stack.use(openDiskImage(repository, disk.treeId, disk)) }))
  const fileSystems = checkFileSystems(point.evidence, await probeSet(disks, signal))
  const applications = claimsOf(point.result).filter(({ kind }) => kind === 'application')
    .map((claim): Check => ({ name: 'image', claim, answer: 'silent', detail: NOT_READ }))
  return verdictOf(point.result, [...fileSystems, ...applications])
}
