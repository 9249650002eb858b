/** Backs a machine up. */

import { runBackup, type BackupEvent, type BackupSummary } from '../backup/mod.ts'
import type { Grade } from '../consistency/mod.ts'
import { ChunkThreads } from '../repository/mod.ts'
import { atMachine, type MachineWork } from './at-machine.ts'
import type { EngineContext } from './context.ts'

export interface MachineBackup extends MachineWork {
  /** As the command line says; undefined: as the configuration says, else the default. */
  readonly require: Grade | undefined
  readonly onWeaker: 'keep' | 'fail' | undefined
  /** Read all of each disk, whatever is known of its changes. */
  readonly full: boolean
  readonly onEvent: (event: BackupEvent) => void
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
  // They start while the password is tried.
  await using threads = new ChunkThreads()
  return await atMachine(request, context, signal, ({ opened, repository, settings, signer }) =>
    runBackup({
      repository, platform: opened.platform, machine: opened.machine,
      settings: {
        require: request.require ?? settings?.require,
        onWeaker: request.onWeaker ?? settings?.onWeaker,
      },
      full: request.full,
      exclude: settings?.exclude ?? [],
      openApplications: opened.openApplications,
      declaredNoApplications: settings?.applications === 'none',
      limits: settings?.limits ?? config.limits,
      write: { threads },
      programVersion: version,
      signer,
      pins: config.evidence.pins,
      clock, random, log,
      onEvent: request.onEvent,
    }, signal))
}
