/** The check `image`: what the captured disks themselves say, without booting them. */

import type { Clock } from '../base/clock.ts'
import {
  checkFileSystems, probeSet, type Check, type Evidence, type GradeResult,
} from '../consistency/mod.ts'
import type { BlockSource } from '../disk/mod.ts'
import { checkDatabases } from './databases/check-databases.ts'

export interface ImageRequest {
  readonly evidence: Evidence
  readonly result: GradeResult
  readonly disks: readonly { readonly id: string; readonly source: BlockSource }[]
}

/**
 * Reads partition tables, superblocks and journals, and of databases their logs: a few megabytes a
 * disk; nothing is mounted. Faults: those of reading the disks.
 */
export async function checkDisks(
  { evidence, result, disks }: ImageRequest, clock: Clock, signal: AbortSignal,
): Promise<readonly Check[]> {
  const probed = await probeSet(disks, signal)
  const databases = await checkDatabases({ evidence, result, probed, disks }, clock, signal)
  return [...checkFileSystems(evidence, probed), ...databases]
}
