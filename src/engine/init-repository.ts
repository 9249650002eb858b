/** Creates the repository. */

import { initRepository } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findSigner, type FoundSigner } from './evidence-key.ts'
import { findLocation, findPassword } from './repository-secret.ts'

export interface CreatedRepository {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly location: string
  /** The key that this host signs with. */
  readonly key: FoundSigner
}

/**
 * Also makes the key that signs evidence, unless this host has one. Faults: `repository-exists`,
 * `usage`, `storage-failed`, `no-space`, `evidence-key-invalid`.
 */
export async function initRepositoryAt(
  options: RepositoryOptions, context: EngineContext, signal: AbortSignal,
): Promise<CreatedRepository> {
  const { clock, random, hostname, username } = context
  await using storage = context.registry.openStorage(await findLocation(options, context))
  const password = await findPassword(options, context, 'twice', signal)
  // A key that cannot be used shows before there is a repository without one.
  const key = await findSigner(context, storage.location)
  const { id } = await initRepository(
    storage, { password, hostname, username, clock, random }, signal)
  return { id, location: storage.location, key }
}
