/** Which of the machine's disks an application's data lies on, by the agent's list of mounts. */

import type { ApplicationData, FileSystemList } from './evidence.ts'
import { isOffDisk } from './guest-mounts.ts'
import type { DataPlaces } from './writer.ts'

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
  return { state: 'located', diskIds: [...diskIds].toSorted() }
}
