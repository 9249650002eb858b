/** Holds a restore point's grade against its own data, by the checks that are asked for. */

import type { Clock } from '../base/clock.ts'
import type { RestorePoint } from '../catalog/mod.ts'
import { verdictOf, type Verdict } from '../consistency/mod.ts'
import type { BlockSource } from '../disk/mod.ts'
import { openDiskImage, type Repository } from '../repository/mod.ts'
import { proveLogs, type LogsProof } from './logs/prove-logs.ts'
import { checkDisks } from './prove-image.ts'

export interface ProofRequest {
  readonly point: RestorePoint
  readonly image: boolean
  readonly logs: boolean
  /** The machine's next point, if there is one: most records of a backup stand only in that. */
  readonly next: RestorePoint | undefined
}

export interface Proof {
  readonly verdict: Verdict
  /** Of the logs, what is for people and not for the verdict; absent where not asked for. */
  readonly logs?: LogsProof
}

/**
 * Nothing is mounted or booted. Needs the repository's index, and a shared lock that the caller
 * holds. Faults: those of reading the repository.
 */
export async function provePoint(
  repository: Repository, { point, image, logs: wantsLogs, next }: ProofRequest, clock: Clock,
  signal: AbortSignal,
): Promise<Proof> {
  await using stack = new AsyncDisposableStack()
  const openDisks = ({ disks }: RestorePoint): readonly { id: string; source: BlockSource }[] =>
    disks.map((disk) =>
      ({ id: disk.id, source: stack.use(openDiskImage(repository, disk.treeId, disk)) }))
  const disks = openDisks(point)
  const { evidence, result } = point
  const checks = image ? await checkDisks({ evidence, result, disks }, clock, signal) : []
  if (!wantsLogs) return { verdict: verdictOf(result, checks) }
  const logs = await proveLogs({
    result, takenAtMs: point.timeMs, own: disks, next: next && openDisks(next) }, clock, signal)
  return { verdict: verdictOf(result, [...checks, ...logs.checks]), logs }
}
