/** Holds what a platform says of a machine's changes against its disks. */

import { auditTracking, type TrackingAudit } from '../backup/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findSigner, type FoundSigner } from './evidence-key.ts'
import { findMachine, openMachine, type MachineChoice } from './find-machine.ts'
import { withRepository } from './open-repository.ts'

export interface MachineAudit extends MachineChoice {
  readonly repository: RepositoryOptions
  /** How much of what is said to be unchanged is compared: over 0, up to 1. */
  readonly share: number
  readonly onProgress: (doneBytes: number, totalBytes: number) => void
  /** Told whose key signs the verdicts, before anything is touched. */
  readonly onSigner: (signer: FoundSigner) => void
}

/** That changes were missed is no fault. Faults: as `backupMachine`. */
export async function auditMachine(
  request: MachineAudit, context: EngineContext, signal: AbortSignal): Promise<TrackingAudit> {
  const { clock, random, version, config } = context
  const place = findMachine(request, context)
  await using opened = await openMachine(place, context, signal)
  const { platform, machine } = opened
  await platform.provider(machine).endLeftHolds?.(signal)
  return await withRepository(request.repository, context, signal, async (repository) => {
    const found = await findSigner(context, repository.storage.location)
    request.onSigner(found)
    const settings = place.settings ?? config.machines.get(machine)
    return auditTracking({
      repository, platform, machine,
      exclude: settings?.exclude ?? [],
      limits: settings?.limits ?? config.limits,
      programVersion: version, signer: found.signer, pins: config.evidence.pins,
      clock, random, share: request.share, onProgress: request.onProgress,
    }, signal)
  })
}
