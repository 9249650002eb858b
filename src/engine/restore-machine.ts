/** Makes a machine of a restore point on a platform that can. */

import { Fault } from '../base/fault.ts'
import { findPoint, readRestorePoints, type RestorePoint } from '../catalog/mod.ts'
import type { RestoreProgress } from '../recovery/mod.ts'
import { openDiskImage } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findMachine } from './find-machine.ts'
import { withLock, withRepository } from './open-repository.ts'

export interface MachineRestore {
  readonly repository: RepositoryOptions
  /** As an operator names it. */
  readonly point: string
  /** The text of `--on`; undefined: the machine names a platform of the configuration. */
  readonly on: string | undefined
  /** The machine to make: `PLATFORM/NAME`, or its name with `on`. */
  readonly as: string
  /** A machine of that name that is off may go, once the new one is complete. */
  readonly replace: boolean
  readonly onProgress: (progress: RestoreProgress) => void
}

export interface MadeMachine {
  readonly point: RestorePoint
  /** What it is called there. */
  readonly name: string
  /** Bytes written, zeros too. */
  readonly writtenBytes: number
  readonly durationMs: number
}

/**
 * Makes a new machine with the disks of a point; it is off. A fault or abort removes it. Faults:
 * `already-exists`, `unsupported`, `usage`, `point-not-found`, `platform-*`, those of reading.
 */
export async function restoreMachine(
  request: MachineRestore, context: EngineContext, signal: AbortSignal): Promise<MadeMachine> {
  const { clock, random, log, registry, config } = context
  const { target, machineName: name } = findMachine(
    { on: request.on, machine: request.as }, context)
  if (name === undefined) throw new Fault('usage', 'it is not said what to call the machine')
  return withRepository(request.repository, context, signal, (repository) =>
    withLock(repository, 'shared', signal, async (signal) => {
      const startMs = clock.monotonicMs()
      const points = await readRestorePoints(repository, signal, config.evidence.pins)
      const point = findPoint(points, request.point)
      await using platform = await registry.openPlatform(target, { clock, random, log }, signal)
      if (platform.makeMachine === undefined) {
        throw new Fault('unsupported', `machines cannot be made on ${platform.kind} yet`, {
          advice: 'Restore the disks into a folder (--to).' })
      }
      await using making = await platform.makeMachine(
        name, point.machine, request.replace, signal)
      const totalBytes = point.disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      let before = 0
      for (const disk of point.disks) {
        await using source = openDiskImage(repository, disk.treeId, disk)
        await making.fill(disk.id, source, (bytes) => request.onProgress({
          diskId: disk.id, doneBytes: before + bytes, totalBytes }), signal)
        before += disk.sizeBytes
      }
      await making.finish(signal)
      return { point, name, writtenBytes: before, durationMs: clock.monotonicMs() - startMs }
    }))
}
