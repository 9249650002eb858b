/**
 * Decides for each disk whether its changes since an earlier point are enough to read.
 *
 * What the platform says is not believed unseen: the earlier point must be in this repository, with
 * the same disk, whole, and a sample of what is said to be unchanged must be unchanged.
 */

import type { RandomBytes } from '../base/random.ts'
import {
  isSinceDoubted, type Catalog, type ListedPoint, type Pins, type PointDisk, type RestorePoint,
} from '../catalog/mod.ts'
import type { DiskBase, FullReason, SetDisk, SetTracking } from '../consistency/mod.ts'
import type { BlockSource } from '../disk/mod.ts'
import {
  DEFAULT_CHUNK_BYTES, openDiskImage, SEGMENT_BYTES, whyNotWhole, type Repository,
} from '../repository/mod.ts'
import { isTrusted } from './next-place.ts'

/** A disk's base and, if it has one, the stored disk whose chunks can be taken over. */
export interface PlannedDisk {
  readonly base: DiskBase
  readonly stored: PointDisk | undefined
}

/** Chunks compared for each disk and run: finds a change of a tenth of it four times in five. */
const AUDIT_CHUNKS = 16

/**
 * The machine's points that may be a base, oldest first: those that are as a trusted key sealed
 * them. What was altered since would go on altered in every point that is built upon it.
 */
export function sealedPoints(
  points: readonly ListedPoint[], machineName: string, trusted: Pins): readonly RestorePoint[] {
  return points.filter((point): point is RestorePoint => point.state === 'readable' &&
    point.machine.name === machineName && isTrusted(point.seal, trusted))
}

/** What bases are held against. */
export interface BaseChoice {
  readonly repository: Repository
  /** Those that may be a base. */
  readonly points: readonly RestorePoint[]
  readonly records: Catalog['records']
}

/** Holds a disk's base against the repository. Faults: those of reading it. */
export async function planDisk(
  { repository, points, records }: BaseChoice, disk: SetDisk,
  tracking: SetTracking | undefined, wantsFull: boolean, signal: AbortSignal,
): Promise<PlannedDisk> {
  const base = tracking?.bases.get(disk.id)
  if (wantsFull) return full('asked-for')
  if (base === undefined) return full('not-tracked')
  if ('full' in base) {
    // The platform sees no difference between a record that is gone and one that never was.
    const isKnown = points.some(({ disks }) => disks.some(({ id }) => id === disk.id))
    return full(base.full === 'bitmap-gone' && !isKnown ? 'first-backup' : base.full)
  }
  const point = points.findLast(({ pointId }) => pointId === base.since)
  const stored = point?.disks.find(({ id }) => id === disk.id)
  if (point === undefined || stored === undefined) return full('disk-replaced')
  if (isSinceDoubted({ records }, point.seal, disk.id)) return full('audit-failed')
  if (stored.sizeBytes !== disk.sizeBytes) return full('disk-resized')
  const isCutAlike = stored.chunkBytes === DEFAULT_CHUNK_BYTES &&
    stored.segmentBytes === SEGMENT_BYTES
  if (!isCutAlike) return full('disk-replaced')
  const damage = await whyNotWhole(repository, stored.treeId, stored, signal)
  return damage === undefined ? { base, stored } : full('base-damaged')
}

/**
 * Compares a sample of what did not change with the stored disk. True if all is as it was. Faults:
 * those of reading the source and the repository.
 */
export async function isUnchanged(
  repository: Repository, source: BlockSource, stored: PointDisk, random: RandomBytes,
  signal: AbortSignal,
): Promise<boolean> {
  if (source.changes === undefined) return false
  await using image = openDiskImage(repository, stored.treeId, stored)
  const chunks = Math.ceil(stored.sizeBytes / stored.chunkBytes)
  for (let n = 0; n < AUDIT_CHUNKS; n++) {
    const offset = (Buffer.from(random(4)).readUInt32LE() % chunks) * stored.chunkBytes
    const length = Math.min(stored.chunkBytes, stored.sizeBytes - offset)
    if (await hasAny(source.changes({ offset, length }, signal))) continue
    const [now, then] = [
      await source.read(offset, length, signal), await image.read(offset, length, signal)]
    if (Buffer.compare(now, then) !== 0) return false
  }
  return true
}

async function hasAny(items: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of items) return true
  return false
}

function full(reason: FullReason): PlannedDisk {
  return { base: { full: reason }, stored: undefined }
}
