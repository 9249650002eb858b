/** Holds what a platform says of a machine's changes against its disks. */

import { auditTracking, type TrackingAudit } from '../backup/mod.ts'
import { atMachine, type MachineWork } from './at-machine.ts'
import type { EngineContext } from './context.ts'

export interface MachineAudit extends MachineWork {
  /** How much of what is said to be unchanged is compared: over 0, up to 1. */
  readonly share: number
  readonly onProgress: (doneBytes: number, totalBytes: number) => void
}

/** That changes were missed is no fault. Faults: as `backupMachine`. */
export async function auditMachine(
  request: MachineAudit, context: EngineContext, signal: AbortSignal): Promise<TrackingAudit> {
  const { clock, random, version, config } = context
  return atMachine(request, context, signal, async ({ opened, repository, settings, signer }) =>
    auditTracking({
      repository, platform: opened.platform, machine: opened.machine,
      exclude: settings?.exclude ?? [],
      limits: settings?.limits ?? config.limits,
      programVersion: version, signer, pins: config.evidence.pins,
      clock, random, share: request.share, onProgress: request.onProgress,
    }, signal))
}
