/** Which of the machine's disks an application's data lies on, by the agent's list of mounts. */

import { EVIDENCE_MAX } from './evidence-codec.ts'
import type { ApplicationData, FileSystemList, KeptPlace } from './evidence.ts'
import { isOffDisk } from './guest-mounts.ts'
import type { DataPlace, DataPlaces } from './writer.ts'

/** Of the evidence's 4 MiB, what the places of one application may take. */
const PLACES_BYTES = 2048

/** Pure. Anything that cannot be followed to disks is unknown, never left out. */
export function locateData(data: DataPlaces, list: FileSystemList): ApplicationData {
  if (data.state !== 'located') return data
  if (data.places.length === 0) return { state: 'unknown', detail: 'no place was named' }
  const diskIds = new Set<string>()
  for (const { path, mountpoint, type } of data.places) {
    if (isOffDisk(type)) return { state: 'outside', detail: `${path} is on ${type}` }
    if (list.state !== 'listed') return { state: 'unknown', detail: list.reason }
    const entry = list.fileSystems.find((it) => it.mountpoint === mountpoint && it.type === type)
    if (entry === undefined || entry.diskIds.length === 0) {
      return { state: 'unknown', detail: `it is not known which disk ${path} lies on` }
    }
    for (const id of entry.diskIds) diskIds.add(id)
  }
  const places = keptPlaces(data.places)
  return {
    state: 'located', diskIds: [...diskIds].toSorted(),
    ...places === undefined ? {} : { places } }
}

/** All of them or none: a part could be taken for the whole. */
function keptPlaces(places: readonly DataPlace[]): readonly KeptPlace[] | undefined {
  const kept = places.map(({ path, mountpoint, root }) =>
    ({ path, mountpoint, ...root === undefined ? {} : { root } }))
  const isShort = kept.length <= EVIDENCE_MAX.places &&
    Buffer.byteLength(JSON.stringify(kept)) <= PLACES_BYTES
  return isShort ? kept : undefined
}
