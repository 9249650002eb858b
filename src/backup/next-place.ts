/** Where a new point's evidence stands in its machine's chain. */

import {
  chainLinks, NO_PINS, readCatalog, type Catalog, type Pins, type SealedEvidence,
} from '../catalog/mod.ts'
import { nextPlace, type ChainPlace } from '../consistency/mod.ts'
import type { BackupRequest } from './backup-request.ts'

type Request = Pick<BackupRequest, 'repository' | 'signer' | 'pins'>

/** The keys whose points are built upon: the own one, and those that are pinned. */
export function trustedBy({ signer, pins }: Omit<Request, 'repository'>): Pins {
  return new Set([signer.publicKey.fingerprint, ...pins])
}

/** True for evidence that this host may build upon, of a point that is as it was sealed. */
export function isTrusted(
  { isGenuine, differences, signer }: SealedEvidence, trusted: Pins): boolean {
  return isGenuine && differences.length === 0 && trusted.has(signer)
}

/**
 * The place after the machine's newest evidence, looked for anew: another backup may have ended
 * since `known` was read. Others' evidence counts only while there is none of a trusted key, so
 * that nobody else can lead the chain astray. Faults: those of the store.
 */
export async function nextPlaceOf(
  { repository, ...keys }: Request, machine: string, known: Catalog, signal: AbortSignal,
): Promise<ChainPlace> {
  const catalog = await readCatalog(repository, signal, NO_PINS, known)
  const of = { machine, repositoryId: repository.id }
  const trusted = chainLinks(catalog, of, trustedBy(keys))
  return nextPlace(trusted.length > 0 ? trusted : chainLinks(catalog, of, NO_PINS))
}
