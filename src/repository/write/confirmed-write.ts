/** Writes the files that count on packs being there, which only a lock promises. */

import { deadline, type Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { RandomBytes } from '../../base/random.ts'
import type { Storage } from '../../storage/mod.ts'
import type { MasterKey } from '../format/crypto.ts'
import type { FileId } from '../format/id.ts'
import type { RepositoryLock } from '../lock.ts'
import { sealUnpacked } from '../format/unpacked-file.ts'

/** Longest time to take a file back. */
const TAKE_BACK_LIMIT_MS = 60_000

export interface ConfirmedWriteContext {
  readonly storage: Storage
  readonly masterKey: MasterKey
  readonly random: RandomBytes
  readonly clock: Clock
  readonly log: Log
}

/**
 * Stores JSON, sealed, if the lock holds; and takes it back if by then it does not. A host may be
 * suspended between the two, and what it names may be gone when it goes on. Without `lock` it is
 * only written. Faults: `lock-lost`, those of `Storage.put`.
 */
export async function writeConfirmed(
  context: ConfirmedWriteContext, lock: RepositoryLock | undefined, kind: 'index' | 'snapshots',
  json: Uint8Array, signal: AbortSignal,
): Promise<FileId> {
  const { storage, masterKey, random } = context
  const { id, file } = sealUnpacked(masterKey, json, random)
  await lock?.confirm(signal)
  try {
    await storage.put({ kind, name: id }, [file], signal)
    await lock?.confirm(signal)
  } catch (error) {
    // Whatever the put said, it may have taken effect.
    if (lock?.lost.aborted === true) await takeBack(context, kind, id)
    throw error
  }
  return id
}

async function takeBack(
  { storage, clock, log }: ConfirmedWriteContext, kind: 'index' | 'snapshots', id: FileId,
): Promise<void> {
  using limit = deadline(clock, TAKE_BACK_LIMIT_MS, 'taking a file back')
  try {
    await storage.remove({ kind, name: id }, limit.signal)
  } catch (error) {
    log.warn('repository.file-left', {
      kind, id, reason: error instanceof Error ? error.message : 'unknown' })
  }
}
