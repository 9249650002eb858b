/** The restore points there are. */

import {
  findPoint, readRestorePoints, type ListedPoint, type RestorePoint,
} from '../catalog/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withLock, withRepository } from './open-repository.ts'

/** Oldest first; of one machine if it is named. Faults: those of opening and reading. */
export async function listPoints(
  options: RepositoryOptions, machine: string | undefined, context: EngineContext,
  signal: AbortSignal,
): Promise<readonly ListedPoint[]> {
  const { pins } = context.config.evidence
  const points = await withRepository(options, context, signal, (repository) =>
    withLock(repository, 'shared', signal, (signal) =>
      readRestorePoints(repository, signal, pins)))
  return machine === undefined ? points : points.filter((point) => machineOf(point) === machine)
}

/** The one point that `name` fits. Faults: `point-not-found`, `point-invalid`, of reading. */
export async function showPoint(
  options: RepositoryOptions, name: string, context: EngineContext, signal: AbortSignal,
): Promise<RestorePoint> {
  return findPoint(await listPoints(options, undefined, context, signal), name)
}

function machineOf(point: ListedPoint): string {
  return point.state === 'readable' ? point.machine.name : point.machineName
}
