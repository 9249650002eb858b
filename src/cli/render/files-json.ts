/** What `files --json` carries; docs/json-output.md describes it. */

import type { RestorePoint } from '../../catalog/mod.ts'
import type { FetchedFile } from '../../engine/mod.ts'
import type { FileListing, PointVolume } from '../../recovery/mod.ts'
import type { JsonFields } from '../output.ts'

type OfPoint = { readonly point: RestorePoint }

export function volumesJson(
  { point, volumes }: OfPoint & { readonly volumes: readonly PointVolume[] }): JsonFields {
  return { ...pointFields({ point }), volumes: volumes.map(
    ({ name, type, mountpoints, unread, warning }) =>
      ({ name, type, mountpoints, unread: unread ?? null, warning: warning ?? null })) }
}

export function listingFilesJson({ point, files, warning }: OfPoint & FileListing): JsonFields {
  return { ...pointFields({ point }), warning: warning ?? null, files: files.map(
    ({ name, kind, sizeBytes, target }) =>
      ({ name, kind, sizeBytes: sizeBytes ?? null, target: target ?? null })) }
}

export function fetchedJson({ point, path, sizeBytes, warning }: FetchedFile): JsonFields {
  return { ...pointFields({ point }), path, sizeBytes, warning: warning ?? null }
}

function pointFields({ point }: OfPoint): JsonFields {
  return { point: point.pointId, machine: point.machine.name }
}
