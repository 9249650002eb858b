/** The restore points there are, each with what was made of it later. */

import {
  findPoint, latestVerdict, readCatalog, type ListedPoint, type RestorePoint,
} from '../catalog/mod.ts'
import type { VerdictStatement } from '../consistency/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withLock, withRepository } from './open-repository.ts'

export interface PointListing {
  readonly point: ListedPoint
  /** The newest one; undefined: it was never checked. */
  readonly verdict: VerdictStatement | undefined
}

export interface ShownPoint {
  readonly point: RestorePoint
  readonly verdict: VerdictStatement | undefined
}

/** Oldest first; of one machine if it is named. Faults: those of opening and reading. */
export async function listPoints(
  options: RepositoryOptions, machine: string | undefined, context: EngineContext,
  signal: AbortSignal,
): Promise<readonly PointListing[]> {
  const { pins } = context.config.evidence
  const catalog = await withRepository(options, context, signal, (repository) =>
    withLock(repository, 'shared', signal, (signal) => readCatalog(repository, signal, pins)))
  return catalog.points
    .filter((point) => machine === undefined || machineOf(point) === machine)
    .map((point) => ({ point,
      verdict: point.seal === undefined ? undefined : latestVerdict(catalog, point.seal, pins) }))
}

/** The one point that `name` fits. Faults: `point-not-found`, `point-invalid`, of reading. */
export async function showPoint(
  options: RepositoryOptions, name: string, context: EngineContext, signal: AbortSignal,
): Promise<ShownPoint> {
  const listed = await listPoints(options, undefined, context, signal)
  const point = findPoint(listed.map((it) => it.point), name)
  return { point, verdict: listed.find((it) => it.point === point)?.verdict }
}

function machineOf(point: ListedPoint): string {
  return point.state === 'readable' ? point.machine.name : point.machineName
}
