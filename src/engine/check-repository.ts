/** Checks the repository. */

import { checkRepository, type CheckReport, type OnCheckEvent } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withLock, withRepository } from './open-repository.ts'

export interface CheckRequest {
  readonly repository: RepositoryOptions
  /** Read every byte, not only what finding one's way takes. */
  readonly readData: boolean
  readonly onEvent: OnCheckEvent
}

export interface CheckedRepository {
  readonly location: string
  readonly report: CheckReport
}

/**
 * Checks alone: while it runs nobody may write. What it finds is in the report, not a fault.
 * Faults: `locked`, `no-repository`, `wrong-password`, `interrupted`.
 */
export async function checkRepositoryAt(
  request: CheckRequest, context: EngineContext, signal: AbortSignal,
): Promise<CheckedRepository> {
  const { readData, onEvent } = request
  return withRepository(request.repository, context, signal, async (repository) => ({
    location: repository.storage.location,
    report: await withLock(repository, 'exclusive', signal, (signal) =>
      checkRepository(repository, { readData }, onEvent, signal)),
  }))
}
