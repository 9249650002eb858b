/** What stays of a checkpoint once its point is sealed: the instant an increment starts from. */

import { throwIfAborted } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { REMOVE_LIMIT_MS, surveyOne } from './checkpoints.ts'
import type { HypervMachine } from './host-answers.ts'
import { runTask } from './jobs.ts'
import type { HypervDisk } from './machine.ts'
import type { HypervHost } from './powershell.ts'
import type { HypervTracking } from './tracking.ts'
import type { TrackedPoint } from './tracking-record.ts'

export interface SealedPoint {
  readonly host: HypervHost
  readonly log: Log
  readonly machine: HypervMachine
  readonly pointId: string
  readonly disks: readonly HypervDisk[]
  readonly tracking: HypervTracking
}

/**
 * Turns the checkpoint into a reference point, keeps what it is called, and removes the one before
 * it. A checkpoint that is gone, or cannot be turned, is left as it is: the next run reads in full.
 */
export async function convertCheckpoint(
  { host, log, machine, pointId, disks, tracking }: SealedPoint, checkpoint: string,
  signal: AbortSignal,
): Promise<void> {
  const { machine: before } = await surveyOne(host, machine.id, signal)
  if (!before.checkpoints.some(({ id }) => id === checkpoint)) return
  try {
    await runTask(host, { script: 'convert', input: { checkpoint },
      doing: 'the reference point', limitMs: REMOVE_LIMIT_MS }, signal)
  } catch (error) {
    throwIfAborted(signal)
    if (!isFault(error, 'platform-refused')) throw error
    log.warn('hyperv.not-tracked', { reason: error.message })
    return
  }
  const { machine: after } = await surveyOne(host, machine.id, signal)
  const known = new Set(before.referencePoints.map(({ id }) => id))
  const made = after.referencePoints.find(({ id }) => !known.has(id))
  if (made === undefined) return
  log.info('hyperv.reference-point', { consistencyLevel: made.consistencyLevel })
  await tracking.keep(trackedPoint(pointId, made, disks))
  const old = tracking.base?.referencePoint
  if (old !== undefined && known.has(old)) await destroyReferencePoint(host, log, old, signal)
}

async function destroyReferencePoint(
  host: HypervHost, log: Log, referencePoint: string, signal: AbortSignal): Promise<void> {
  try {
    await runTask(host, { script: 'destroy-reference-point', input: { referencePoint },
      doing: 'the removal of an old reference point', limitMs: REMOVE_LIMIT_MS }, signal)
  } catch (error) {
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    log.warn('hyperv.reference-point-left', { referencePoint, reason: error.message })
  }
}

function trackedPoint(
  pointId: string, made: HypervMachine['referencePoints'][number], disks: readonly HypervDisk[],
): TrackedPoint {
  const { id, consistencyLevel, diskIds, trackingIds } = made
  return { pointId, referencePoint: id, consistencyLevel,
    disks: Object.fromEntries(disks.flatMap((disk) => {
      const at = diskIds.findIndex((it) => it.toLowerCase().includes(disk.diskId))
      const trackingId = trackingIds[at]
      return trackingId === undefined || trackingId === '' ? []
        : [[disk.id, { diskId: disk.diskId, sizeBytes: disk.sizeBytes, trackingId }]]
    })) }
}
