/** What was found on a host's volumes, less what its writers hold, with the disks it lies on. */

import { printable } from '../../base/text.ts'
import type { ApplicationData, FoundData, UnheldApplication } from '../../consistency/mod.ts'
import { atOnce } from '../../base/turns.ts'
import { SYSTEM_WRITERS } from './known-writers.ts'
import { WriterClaims } from './session/claims.ts'
import type { WriterMetadata } from './session/documents.ts'
import type { VolumeOfPath } from './session/selection.ts'

export interface HostWriters {
  /** Those that answered; documents that cannot be read are undefined. */
  readonly writers: readonly {
    readonly name: string; readonly metadata: WriterMetadata | undefined }[]
  readonly environment: ReadonlyMap<string, string>
  readonly volumeOf: VolumeOfPath
  /** The disk of the set that a volume is. */
  readonly diskOf: (volume: string) => string | undefined
}

/** Those of `found` that no writer of an application names; parts of Windows hold nothing of it. */
export function unheldOf(
  found: readonly FoundData[], { writers, environment, volumeOf, diskOf }: HostWriters,
): readonly UnheldApplication[] {
  const claims = atOnce(WriterClaims.reading(writers.flatMap(({ name, metadata }) =>
    metadata === undefined || SYSTEM_WRITERS.has(name) ? [] : metadata), environment))
  const isThere = (writer: string): boolean => writers.some(({ name }) =>
    name.toLowerCase().startsWith(writer.toLowerCase()))
  return found.flatMap(({ name, kind, recovery, advice, paths, heldBy }) => {
    if (heldBy !== undefined && isThere(heldBy)) return []
    const left = paths.filter((path) => !claims.has(path))
    if (left.length === 0 && paths.length > 0) return []
    return [{ name, kind, recovery, advice, data: dataOf(left, volumeOf, diskOf) }]
  })
}

function dataOf(
  paths: readonly string[], volumeOf: VolumeOfPath,
  diskOf: (volume: string) => string | undefined,
): ApplicationData {
  if (paths.length === 0) return { state: 'unknown', detail: 'no files of it were found' }
  const diskIds = new Set<string>()
  for (const path of paths) {
    const place = volumeOf(path)
    const shown = printable(path, 300)
    if ('elsewhere' in place) return { state: 'outside', detail: `${shown}: ${place.elsewhere}` }
    if ('unknown' in place) return { state: 'unknown', detail: `${shown}: ${place.unknown}` }
    const id = diskOf(place.volume)
    if (id === undefined) {
      return { state: 'outside', detail: `${shown} lies on a volume that is not in the set` }
    }
    diskIds.add(id)
  }
  return { state: 'located', diskIds: [...diskIds].toSorted() }
}
