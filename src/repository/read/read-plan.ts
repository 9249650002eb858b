/** Which ranges of which packs to read for a stretch of a disk, neighbours in one read. */

import { Fault } from '../../base/fault.ts'
import { plaintextLength } from '../format/blob.ts'
import type { DiskChunk } from '../disks/disk-chunks.ts'
import { wrongLength } from '../disks/disk-image.ts'
import type { BlobId, FileId } from '../format/id.ts'
import type { BlobIndex, BlobLocation } from '../index.ts'

/** A blob and all its places in the stretch. */
export interface PlannedBlob {
  readonly location: BlobLocation
  readonly chunks: readonly DiskChunk[]
}

/** One range of a pack; the blobs ascend by offset. */
export interface PlannedRead {
  readonly packId: FileId
  readonly offset: number
  readonly length: number
  readonly blobs: readonly PlannedBlob[]
}

/** Bounds of one read, sealed as well as plain: a run of zeros seals to next to nothing. */
const MAX_READ_BYTES = 4 * 1024 * 1024
/** Bytes nobody asked for that are read rather than asking twice. */
const MAX_GAP_BYTES = 64 * 1024

/**
 * The reads for `chunks`, each blob once. Faults: `repository-damaged` (no index has a blob),
 * `point-invalid` (a blob has another length than its chunk).
 */
export function planReads(
  index: BlobIndex, chunks: Iterable<DiskChunk>): readonly PlannedRead[] {
  const byId = new Map<BlobId, { location: BlobLocation; chunks: DiskChunk[] }>()
  for (const chunk of chunks) {
    const blob = byId.get(chunk.id) ?? { location: locate(index, chunk), chunks: [] }
    if (plaintextLength(blob.location) !== chunk.length) {
      throw wrongLength(chunk, plaintextLength(blob.location))
    }
    blob.chunks.push(chunk)
    byId.set(chunk.id, blob)
  }
  const blobs = [...byId.values()].sort((a, b) =>
    compare(a.location.packId, b.location.packId) || a.location.offset - b.location.offset)
  const reads: PlannedBlob[][] = []
  for (const blob of blobs) {
    const last = reads.at(-1)
    if (last !== undefined && fits(last, blob)) last.push(blob)
    else reads.push([blob])
  }
  return reads.map(readOf)
}

function locate(index: BlobIndex, chunk: DiskChunk): BlobLocation {
  const location = index.lookup('data', chunk.id)
  if (location !== undefined) return location
  throw new Fault('repository-damaged', `no index knows data blob ${chunk.id}`, {
    advice: 'Run "stillpoint check" to see what else is missing.' })
}

function fits(read: readonly PlannedBlob[], next: PlannedBlob): boolean {
  const { packId, offset, length } = readOf(read)
  const { location } = next
  const plain = read.reduce((sum, blob) => sum + plaintextLength(blob.location), 0)
  return packId === location.packId &&
    location.offset - (offset + length) <= MAX_GAP_BYTES &&
    location.offset + location.length - offset <= MAX_READ_BYTES &&
    plain + plaintextLength(location) <= MAX_READ_BYTES
}

function readOf(blobs: readonly PlannedBlob[]): PlannedRead {
  const [first, last] = [blobs[0]?.location, blobs.at(-1)?.location]
  if (first === undefined || last === undefined) throw new RangeError('a read of no blobs')
  const end = last.offset + last.length
  return { packId: first.packId, offset: first.offset, length: end - first.offset, blobs }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
