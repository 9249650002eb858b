/** Removes locks that nobody holds any more. */

import type { EngineContext, RepositoryOptions } from './context.ts'
import { withRepository } from './open-repository.ts'

/**
 * Removes the stale locks, or with `all` every lock; says how many. Only an operator can know that
 * no other client is at work: while one is, removing its lock may cost data.
 */
export async function unlockRepository(
  options: RepositoryOptions, all: boolean, context: EngineContext, signal: AbortSignal,
): Promise<number> {
  return withRepository(options, context, signal, (repository) => repository.unlock(all, signal))
}
