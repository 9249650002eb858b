/** What work on a machine and a repository begins with, and how it ends. */

import type { Repository } from '../repository/mod.ts'
import type { MachineConfig } from './config.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findSigner, type FoundSigner } from './evidence-key.ts'
import {
  findMachine, openMachine, withHostWishes, type HostWishes, type MachineChoice,
  type OpenedMachine,
} from './find-machine.ts'
import { withRepository } from './open-repository.ts'

export interface MachineWork extends MachineChoice, HostWishes {
  readonly repository: RepositoryOptions
  /** Told whose key signs, before anything is touched but what an earlier run left held. */
  readonly onSigner: (signer: FoundSigner) => void
}

export interface AtMachine {
  readonly opened: OpenedMachine
  readonly repository: Repository
  /** What the configuration says of the machine, if anything. */
  readonly settings: MachineConfig | undefined
  readonly signer: FoundSigner['signer']
}

/**
 * Ends what an earlier run left held, opens the repository, and calls `work`; all is closed behind
 * it. Faults: `usage`, `machine-*`, `platform-*`, `evidence-key-invalid`, those of the repository,
 * and those of `work`.
 */
export async function atMachine<T>(
  request: MachineWork, context: EngineContext, signal: AbortSignal,
  work: (at: AtMachine) => Promise<T>,
): Promise<T> {
  const place = withHostWishes(findMachine(request, context), request)
  await using opened = await openMachine(place, context, signal)
  const { platform, machine } = opened
  await platform.provider(machine).endLeftHolds?.(signal)
  return await withRepository(request.repository, context, signal, async (repository) => {
    const found = await findSigner(context, repository.storage.location)
    request.onSigner(found)
    const settings = place.settings ?? context.config.machines.get(machine)
    return work({ opened, repository, settings, signer: found.signer })
  })
}
