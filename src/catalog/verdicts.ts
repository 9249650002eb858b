/** The newest verdict on a restore point, as its signed records say. */

import type { VerdictStatement } from '../consistency/mod.ts'
import type { Catalog } from './catalog.ts'
import { isForeign, type Pins, type SealedEvidence } from './point-seal.ts'

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
