/** Verdicts on a restore point, as its signed records say. */

import { isTrackingDoubted, type VerdictStatement } from '../consistency/mod.ts'
import type { Catalog } from './catalog.ts'
import { isForeign, type Pins, type SealedEvidence } from './point-seal.ts'

/**
 * Whether an audit has shown that what is recorded of the disk's changes since the point lacks
 * some. Anybody's word counts, since it costs one full read at most.
 */
export function isSinceDoubted(
  { records }: Pick<Catalog, 'records'>, { digest }: Pick<SealedEvidence, 'digest'>,
  diskId: string,
): boolean {
  return records.some(({ signed: { statement } }) => statement.kind === 'verdict' &&
    statement.digest === digest && isTrackingDoubted(statement.verdict.checks, diskId))
}

/** Of genuine records alone, of pinned keys where any is pinned; undefined: never checked. */
export function latestVerdict(
  { records }: Pick<Catalog, 'records'>, { digest }: Pick<SealedEvidence, 'digest'>, pins: Pins,
): VerdictStatement | undefined {
  let latest: VerdictStatement | undefined
  for (const { signed: { statement, signer, isGenuine } } of records) {
    if (statement.kind !== 'verdict' || statement.digest !== digest) continue
    if (!isGenuine || isForeign(signer, pins)) continue
    const isNewer = latest === undefined ||
      Date.parse(statement.checkedAt) > Date.parse(latest.checkedAt)
    if (isNewer) latest = statement
  }
  return latest
}
