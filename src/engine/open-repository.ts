/** The repository that the command line, the environment or the configuration names, opened. */

import { Fault, isFault } from '../base/fault.ts'
import { openRepository, type LockKind, type Repository } from '../repository/mod.ts'
import type { Storage } from '../storage/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findLocation, findPassword } from './repository-secret.ts'

/**
 * Calls `use` with the repository open. Faults: `no-repository`, `wrong-password`, `usage` where
 * nothing names it or its password, and those of `use`.
 */
export async function withRepository<T>(
  options: RepositoryOptions, context: EngineContext, signal: AbortSignal,
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const { clock, random, log, hostname, username } = context
  await using storage = context.registry.openStorage(await findLocation(options, context))
  // Whoever named the wrong place should not have to type a password to learn it.
  await checkIsThere(storage, signal)
  const password = await findPassword(options, context, 'once', signal)
  await using repository = await openRepository(
    storage, { password, hostname, username, clock, random, log }, signal)
  return await use(repository)
}

/** Calls `use` while the lock is held; its signal also aborts once the lock is lost. */
export async function withLock<T>(
  repository: Repository, kind: LockKind, signal: AbortSignal,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  await using lock = await repository.lock(kind, signal)
  return await use(AbortSignal.any([signal, lock.lost]))
}

/** A repository's config is a few hundred bytes. */
const MAX_CONFIG_BYTES = 64 * 1024

async function checkIsThere(storage: Storage, signal: AbortSignal): Promise<void> {
  try {
    await storage.get({ kind: 'config', name: 'config' }, { maxBytes: MAX_CONFIG_BYTES }, signal)
  } catch (error) {
    if (!isFault(error, 'not-found')) throw error
    throw new Fault('no-repository', `there is no repository at ${storage.location}`, {
      advice: 'Create one with "stillpoint init", or name the right place.' })
  }
}
