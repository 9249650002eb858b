/** The completion record: what happened behind the seal, signed, beside the point. */

import { isoTime, throwIfAborted } from '../base/clock.ts'
import { causesOf, isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { storeRecord } from '../catalog/mod.ts'
import type { PreparedSet, ToldApplication } from '../consistency/mod.ts'
import type { RepositoryLock } from '../repository/mod.ts'
import type { BackupRequest } from './backup-request.ts'
import type { Sealed } from './seal.ts'

export interface Completion {
  readonly pointId: string
  readonly machine: string
  readonly sealed: Sealed
  readonly told: readonly ToldApplication[]
  readonly lock: RepositoryLock
}

/**
 * Tells what the platform held that there is a point. The point is there already: a fault is a
 * warning, and stands in the record. Throws the signal's reason.
 */
export async function completeSet(
  { log }: BackupRequest, set: PreparedSet, signal: AbortSignal,
): Promise<readonly ToldApplication[]> {
  if (set.heldBy !== 'platform' || set.complete === undefined) return []
  try {
    return await set.complete(signal)
  } catch (error) {
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    const detail = printable(causesOf(error).join(': '), 1000)
    log.warn('platform.complete-failed', { reason: detail })
    return [{ name: 'the platform', outcome: 'failed', detail }]
  }
}

/**
 * Stores the record. The point is there already, whatever becomes of this: a fault is a warning.
 * Throws the signal's reason.
 */
export async function recordCompletion(
  { repository, clock, log, signer, programVersion }: BackupRequest,
  { pointId, machine, sealed, told, lock }: Completion, signal: AbortSignal,
): Promise<void> {
  const { digest, sequence, previous } = sealed
  try {
    await storeRecord(repository, {
      statement: {
        kind: 'completion', pointId, digest, sequence, previous, machine,
        repositoryId: repository.id, completedAt: isoTime(clock.nowMs()), applications: told,
      },
      signer, lock, programVersion,
    }, signal)
  } catch (error) {
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    log.warn('backup.completion-not-recorded', {
      point: pointId, reason: printable(causesOf(error).join(': ')) })
  }
}
