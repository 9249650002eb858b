/** Creates the repository. */

import { initRepository } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findLocation, findPassword } from './repository-secret.ts'

export interface CreatedRepository {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly location: string
}

/** Faults: `repository-exists`, `usage`, `storage-failed`, `no-space`. */
export async function initRepositoryAt(
  options: RepositoryOptions, context: EngineContext, signal: AbortSignal,
): Promise<CreatedRepository> {
  const { clock, random, hostname, username } = context
  await using storage = context.registry.openStorage(await findLocation(options, context))
  const password = await findPassword(options, context, 'twice', signal)
  const { id } = await initRepository(
    storage, { password, hostname, username, clock, random }, signal)
  return { id, location: storage.location }
}
