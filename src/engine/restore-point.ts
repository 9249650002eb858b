/** Gets a machine's disks back. */

import { resolve } from 'node:path'
import { findPoint, readRestorePoints, type RestorePoint } from '../catalog/mod.ts'
import type { ImageFormat } from '../disk/mod.ts'
import { restoreDisks, type RestoredMachine, type RestoreProgress } from '../recovery/mod.ts'
import { OpenThreads } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withLock, withRepository } from './open-repository.ts'

export interface PointRestore {
  readonly repository: RepositoryOptions
  /** As an operator names it. */
  readonly point: string
  /** Made if it is not there; nothing in it is overwritten. */
  readonly folder: string
  /** Disk ids; undefined: all. */
  readonly disks: readonly string[] | undefined
  readonly format: ImageFormat
  readonly onProgress: (progress: RestoreProgress) => void
}

export interface RestoredPoint {
  readonly point: RestorePoint
  readonly restored: RestoredMachine
  readonly durationMs: number
}

/**
 * Writes the disks and the description of a point. A fault or abort removes what was written.
 * Faults: `point-not-found`, `already-exists`, `no-space`, `not-found`, and those of reading.
 */
export async function restorePoint(
  request: PointRestore, context: EngineContext, signal: AbortSignal): Promise<RestoredPoint> {
  const { clock, workingDir } = context
  const { disks, format, onProgress } = request
  // They start while the password is tried.
  await using threads = new OpenThreads()
  return await withRepository(request.repository, context, signal, (repository) =>
    withLock(repository, 'shared', signal, async (signal) => {
      const startMs = clock.monotonicMs()
      const { pins } = context.config.evidence
      const point = findPoint(await readRestorePoints(repository, signal, pins), request.point)
      const restored = await restoreDisks({
        repository, point, format, copying: { threads },
        folder: resolve(workingDir, request.folder),
        ...disks === undefined ? {} : { disks },
      }, onProgress, clock, signal)
      return { point, restored, durationMs: clock.monotonicMs() - startMs }
    }))
}
