/** Whether a stored disk is whole as far as its trees and the index tell, without reading data. */

import { forEachBounded } from '../../base/bounded.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { DiskTree, layoutOf, type DiskGeometry } from './disk-layout.ts'
import type { BlobId } from '../format/id.ts'
import type { Repository } from '../repository.ts'

const SEGMENTS_IN_FLIGHT = 8

/**
 * Reads all trees of the disk and looks every chunk up in the index: what a new point that takes
 * chunks over relies on. Hold a lock from before this until that point is sealed. Returns why it
 * is not whole, or undefined if it is. Faults: those of reading the store itself.
 */
export async function whyNotWhole(
  repository: Repository, treeId: BlobId, geometry: DiskGeometry, signal: AbortSignal,
): Promise<string | undefined> {
  const layout = layoutOf(geometry)
  const tree = new DiskTree(repository, treeId, layout)
  try {
    await forEachBounded(count(layout.segmentCount), { inFlight: SEGMENTS_IN_FLIGHT },
      async (segment) => {
        const missing = (await tree.chunkIds(segment, signal))
          .find((id) => !repository.index.has('data', id))
        if (missing === undefined) return
        throw new Fault('repository-damaged', `chunk ${missing.slice(0, 8)} is not in the index`)
      })
    return undefined
  } catch (error) {
    if (signal.aborted || !isFault(error, 'point-invalid', 'repository-damaged')) throw error
    return error.message
  }
}

function* count(end: number): Generator<number, void, undefined> {
  for (let n = 0; n < end; n++) yield n
}
