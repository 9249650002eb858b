/** Verifies a restore point's signature, subjects and chain, from the repository alone. */

import { Fault, isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import {
  findListedPoint, readCatalog, verifyGone, verifyPoint, type ListedPoint, type Pins,
  type Verification,
} from '../catalog/mod.ts'
import { parseFingerprint } from '../consistency/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withLock, withRepository } from './open-repository.ts'

export interface VerifyRequest {
  readonly repository: RepositoryOptions
  /** As an operator names it. */
  readonly point: string
  /** As an operator writes them; none: those of the configuration. */
  readonly fingerprints: readonly string[]
}

export interface VerifiedPoint {
  /** Undefined where it is gone. */
  readonly point: ListedPoint | undefined
  readonly verification: Verification
}

/** A bad result is no fault. Faults: `usage`, `point-not-found`, those of opening and reading. */
export async function verifyPointAt(
  { repository: options, point: name, fingerprints }: VerifyRequest, context: EngineContext,
  signal: AbortSignal,
): Promise<VerifiedPoint> {
  const pins = pinsOf(fingerprints, context)
  return withRepository(options, context, signal, (repository) =>
    withLock(repository, 'shared', signal, async (signal) => {
      const catalog = await readCatalog(repository, signal, pins)
      try {
        const point = findListedPoint(catalog.points, name)
        return { point, verification: verifyPoint(catalog, point, pins, repository.id) }
      } catch (error) {
        if (!isFault(error, 'point-not-found')) throw error
        const verification = verifyGone(catalog, name, pins)
        if (verification === undefined) throw error
        return { point: undefined, verification }
      }
    }))
}

function pinsOf(fingerprints: readonly string[], { config }: EngineContext): Pins {
  if (fingerprints.length === 0) return config.evidence.pins
  return new Set(fingerprints.map((text) => {
    const fingerprint = parseFingerprint(text)
    if (fingerprint !== undefined) return fingerprint
    throw new Fault('usage', `"${printable(text, 100)}" is no fingerprint`, {
      advice: 'Give the 64 hexadecimal digits that `stillpoint init` printed.' })
  }))
}
