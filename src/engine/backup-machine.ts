/** Backs a machine up. */

import { runBackup, type BackupEvent, type BackupSummary } from '../backup/mod.ts'
import type { Grade } from '../consistency/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findSigner, type FoundSigner } from './evidence-key.ts'
import { findMachine, openMachine, type MachineChoice } from './find-machine.ts'
import { withRepository } from './open-repository.ts'

export interface MachineBackup extends MachineChoice {
  readonly repository: RepositoryOptions
  /** As the command line says; undefined: as the configuration says, else the default. */
  readonly require: Grade | undefined
  readonly onWeaker: 'keep' | 'fail' | undefined
  /** Read all of each disk, whatever is known of its changes. */
  readonly full: boolean
  readonly onEvent: (event: BackupEvent) => void
  /** Told whose key signs, before anything is touched but what an earlier run left held. */
  readonly onSigner: (signer: FoundSigner) => void
}

/**
 * Captures the machine into the repository, as good as it ever was unless told otherwise. A result
 * that is weaker than required is no fault: the summary's judgement says so.
 * Faults: `usage`, `machine-*`, `platform-*`, `snapshot-*`, `evidence-key-invalid`, and those of
 * the repository.
 */
export async function backupMachine(
  request: MachineBackup, context: EngineContext, signal: AbortSignal): Promise<BackupSummary> {
  const { clock, random, log, version, config } = context
  const place = findMachine(request, context)
  await using opened = await openMachine(place, context, signal)
  const { platform, machine } = opened
  await platform.provider(machine).endLeftHolds?.(signal)
  return await withRepository(request.repository, context, signal, async (repository) => {
    const found = await findSigner(context, repository.storage.location)
    request.onSigner(found)
    const settings = place.settings ?? config.machines.get(machine)
    return runBackup({
      repository, platform, machine,
      settings: {
        require: request.require ?? settings?.require,
        onWeaker: request.onWeaker ?? settings?.onWeaker,
      },
      full: request.full,
      exclude: settings?.exclude ?? [],
      openApplications: opened.openApplications,
      declaredNoApplications: settings?.applications === 'none',
      limits: settings?.limits ?? config.limits,
      write: {},
      programVersion: version,
      signer: found.signer,
      pins: config.evidence.pins,
      clock, random, log,
      onEvent: request.onEvent,
    }, signal)
  })
}
