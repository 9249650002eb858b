/** Looks into a restore point's disks, and takes files out of them. */

import { resolve } from 'node:path'
import { findPoint, readRestorePoints, type RestorePoint } from '../catalog/mod.ts'
import {
  PointFiles, writeImageFile, type FileListing, type FilePlace, type PointVolume,
} from '../recovery/mod.ts'
import { openDiskImage } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withLock, withRepository } from './open-repository.ts'

export interface PointFilesRequest {
  readonly repository: RepositoryOptions
  /** As an operator names it. */
  readonly point: string
}

export interface FileFetch extends PointFilesRequest {
  readonly place: FilePlace
  /** The file of this host. */
  readonly to: string
  readonly overwrite: boolean
  readonly onProgress: (doneBytes: number, totalBytes: number) => void
}

export interface FetchedFile {
  readonly point: RestorePoint
  readonly path: string
  readonly sizeBytes: number
  /** Why it may be older than the instant. */
  readonly warning: string | undefined
}

/** Faults of all: `point-not-found`, `point-invalid`, those of reading the repository. */
export function listPointVolumes(
  request: PointFilesRequest, context: EngineContext, signal: AbortSignal,
): Promise<{ readonly point: RestorePoint; readonly volumes: readonly PointVolume[] }> {
  return withFiles(request, context, signal, async (files, point) =>
    ({ point, volumes: files.volumes }))
}

/** Faults: `not-found`, `disk-unreadable`. */
export function listPointFiles(
  request: PointFilesRequest & { readonly place: FilePlace }, context: EngineContext,
  signal: AbortSignal): Promise<FileListing & { readonly point: RestorePoint }> {
  return withFiles(request, context, signal, async (files, point) =>
    ({ point, ...await files.list(request.place) }))
}

/** Faults: `not-found`, `disk-unreadable`, `already-exists`, `no-space`, `io-error`. */
export function fetchPointFile(
  request: FileFetch, context: EngineContext, signal: AbortSignal): Promise<FetchedFile> {
  const { place, to, overwrite, onProgress } = request
  const path = resolve(context.workingDir, to)
  return withFiles(request, context, signal, async (files, point, signal) => {
    const { file, warning } = await files.find(place)
    await writeImageFile(file, path, overwrite ? 'replace' : 'create',
      (doneBytes) => onProgress(doneBytes, file.sizeBytes), signal)
    return { point, path, sizeBytes: file.sizeBytes, warning }
  })
}

function withFiles<T>(
  request: PointFilesRequest, context: EngineContext, signal: AbortSignal,
  use: (files: PointFiles, point: RestorePoint, signal: AbortSignal) => Promise<T>): Promise<T> {
  return withRepository(request.repository, context, signal, (repository) =>
    withLock(repository, 'shared', signal, async (signal) => {
      const { pins } = context.config.evidence
      const point = findPoint(await readRestorePoints(repository, signal, pins), request.point)
      await using opened = new AsyncDisposableStack()
      const disks = point.disks.map((disk) =>
        ({ id: disk.id, source: opened.use(openDiskImage(repository, disk.treeId, disk)) }))
      return await use(await PointFiles.open(disks, point.evidence, signal), point, signal)
    }))
}
