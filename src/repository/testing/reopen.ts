/** Repositories opened many times over, without the cost of the password. */

import type { Storage } from '../../storage/mod.ts'
import { OpenedRepository } from '../opened-repository.ts'
import type { OpenOptions, Repository } from '../repository.ts'

/** `repository` as another process opens it, through `storage`: what it knew is forgotten. */
export function reopen(
  { masterKey, id, chunkerPolynomial }: Repository, storage: Storage, options: OpenOptions,
): Repository {
  return new OpenedRepository(storage, masterKey, { id, chunkerPolynomial }, options)
}
