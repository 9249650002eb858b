/**
 * Which clusters of an NTFS hold something, so that free ones need not be read. A cluster is left
 * out only if $Bitmap has it as free and no record of a file contradicts: all of the table is read,
 * and with one thing that does not fit there is no map, so that everything counts as data.
 */

import { causesOf, isFault } from '../../base/fault.ts'
import type { BlockSource } from '../block-source.ts'
import { NTFS_ATTRIBUTES, ntfsAttributes, ntfsRuns, undoFixups } from '../probe/ntfs-record.ts'
import { windowOf } from '../probe/window.ts'
import { ClusterSet } from './cluster-set.ts'
import { entryNamed, fail } from './image-file.ts'
import { FIRST_FILE, filesThatFit, type FilePattern } from './ntfs-match.ts'
import { NtfsFileSystem, recordOf, unnamedData } from './ntfs-file-system.ts'
import type { NtfsRecord, RecordReference } from './ntfs-records.ts'

export interface LeaveOut {
  /** Paths from the root: `pagefile.sys`, `folder\\file`. */
  readonly files: readonly string[]
  readonly patterns?: readonly FilePattern[]
  /** Of files that a pattern fits, by their paths: those that stay all the same. */
  readonly isKept?: (path: string) => boolean
}

export interface LeftOutFile {
  /** As the caller wrote it, or as it is called. */
  readonly path: string
  readonly bytes: number
  /** The pattern that it fits; undefined where it was named by itself. */
  readonly entry?: string
}

export interface KnownUse {
  readonly state: 'known'
  readonly clusterBytes: number
  /** What is behind the last of its clusters is data: the copy of the boot sector lies there. */
  readonly kept: ClusterSet
  readonly keptClusters: number
  /** Files whose contents are not in `kept` although they are in use. */
  readonly leftOut: readonly LeftOutFile[]
  /** Whether more would fit a pattern than was looked at: it is kept. */
  readonly isLookCut: boolean
}

export type NtfsUse = KnownUse | { readonly state: 'unknown'; readonly reason: string }

const BOOT_BYTES = 8192
const MIRROR_RECORD = 1
/** Every NTFS has the records before this one: its own files. */
const OWN_RECORDS = 11
const BITMAP_PIECE = 512 * 1024
/** A quarter of a gigabyte of memory: 8 TiB in clusters of 4 KiB. */
const MAX_CLUSTERS = 2 ** 31
const MAX_NAMED = 1000

/**
 * Of a disk that is one NTFS. Files of `leaveOut` that are not there or cannot be found are not
 * left out, nor are those that fit a pattern and have another name beside it. Fault: of reading the
 * disk, but for `disk-unreadable`.
 */
export async function readNtfsUse(
  source: BlockSource, leaveOut: LeaveOut, signal: AbortSignal): Promise<NtfsUse> {
  try {
    const volume = await NtfsFileSystem.open(windowOf(source, 0, source.sizeBytes, signal))
    return await useOf(volume, source.sizeBytes, leaveOut)
  } catch (error) {
    if (!isFault(error) || error.code !== 'disk-unreadable') throw error
    return { state: 'unknown', reason: causesOf(error).join(': ') }
  }
}

async function useOf(
  volume: NtfsFileSystem, sizeBytes: number, leaveOut: LeaveOut): Promise<KnownUse> {
  const { clusters, clusterBytes, records } = volume
  if (clusters < 1 || clusters * clusterBytes > sizeBytes) fail('it is larger than its disk')
  if (clusters > MAX_CLUSTERS) fail(`its ${clusters} clusters are more than are held in memory`)
  if (records.tableClusters > clusters) fail('its master file table is larger than itself')
  const { kept, used } = await readBitmap(volume)
  if (!kept.hasAll(0, Math.min(clusters, Math.ceil(BOOT_BYTES / clusterBytes)))) {
    fail('its boot sectors are marked as free')
  }
  await checkMirror(volume)
  const leftOut: LeftOutFile[] = []
  const numbers = new Set<number>()
  const remove = async (
    reference: RecordReference, path: string, entry?: string): Promise<void> => {
    const bytes = await removeContents(volume, reference, kept)
    numbers.add(reference.number)
    if (bytes > 0) leftOut.push({ path, bytes, ...entry === undefined ? {} : { entry } })
  }
  for (const path of leaveOut.files.slice(0, MAX_NAMED)) {
    const reference = await findFile(volume, path)
    if (reference === undefined || numbers.has(reference.number)) continue
    await remove(reference, path)
  }
  const fitting = await filesThatFit(volume, leaveOut.patterns ?? [])
  for (const { path, inode, entry } of fitting.files) {
    const reference = recordOf(inode)
    if (numbers.has(reference.number) || leaveOut.isKept?.(path) === true) continue
    if ((await volume.inode(inode)).kind !== 'file') continue
    if (await volume.records.nameCount(reference) === 1) await remove(reference, path, entry)
  }
  await checkRecords(volume, kept, numbers)
  const removed = leftOut.reduce((all, { bytes }) => all + bytes, 0) / clusterBytes
  return {
    state: 'known', clusterBytes, kept, keptClusters: used - removed, leftOut,
    isLookCut: fitting.isCut }
}

async function readBitmap(volume: NtfsFileSystem): Promise<{
  readonly kept: ClusterSet; readonly used: number }> {
  const bitmap = await volume.clusterBitmap()
  const kept = new ClusterSet(volume.clusters)
  const { bytes } = kept
  const length = Math.ceil(volume.clusters / 8)
  let used = 0
  for (let at = 0; at < length; at += BITMAP_PIECE) {
    const piece = await bitmap.read(at, Math.min(BITMAP_PIECE, length - at))
    bytes.set(piece, at)
    used += kept.count(at * 8, Math.min(volume.clusters, (at + piece.length) * 8))
  }
  return { kept, used }
}

/** Were the table not where its first record says, files would be overlooked. */
async function checkMirror({ records, recordBytes }: NtfsFileSystem): Promise<void> {
  const bytes = await (await unnamedData(records, MIRROR_RECORD)).read(0, recordBytes)
  const attributes = bytes.length === recordBytes && undoFixups(bytes) && ntfsAttributes(bytes)
  if (attributes === false || attributes === undefined) fail('the copy of its table is damaged')
  const [own, copy] = [(await records.record(0)).attributes, attributes].map((all) =>
    JSON.stringify(all.filter(isContents).map(({ place }) =>
      'extent' in place ? [place.extent.sizeBytes, ntfsRuns(place.extent)] : [])))
  if (own !== copy) fail('its table and the copy of it say different things')
}

async function findFile(
  volume: NtfsFileSystem, path: string): Promise<RecordReference | undefined> {
  try {
    let number = volume.root
    for (const name of path.split('\\').filter((part) => part !== '')) {
      const folder = await volume.inode(number)
      if (folder.kind !== 'folder') return undefined
      const entry = entryNamed(volume, await volume.list(folder), name)
      if (entry === undefined) return undefined
      number = entry.inode
    }
    const reference = recordOf(number)
    const isFile = reference.number >= FIRST_FILE && (await volume.inode(number)).kind === 'file'
    return isFile ? reference : undefined
  } catch (error) {
    if (isFault(error) && error.code === 'disk-unreadable') return undefined
    throw error
  }
}

async function removeContents(
  { records, clusters, clusterBytes }: NtfsFileSystem, file: RecordReference, kept: ClusterSet,
): Promise<number> {
  let bytes = 0
  for (const { lcn, clusters: length } of await records.contentRuns(file)) {
    if (lcn === undefined) continue
    if (lcn + length > clusters || !kept.hasAll(lcn, lcn + length)) {
      fail(`record ${file.number} lies in clusters that are free`)
    }
    kept.delete(lcn, lcn + length)
    bytes += length * clusterBytes
  }
  return bytes
}

/** Each run of each file in use must be kept, but for the contents of `leftOut`. */
async function checkRecords(
  { records, clusters }: NtfsFileSystem, kept: ClusterSet, leftOut: ReadonlySet<number>,
): Promise<void> {
  let [own, claimed] = [0, 0]
  for await (const record of records.inUse()) {
    if (record.number < OWN_RECORDS) own += 1
    const isLeftOut = leftOut.has(record.number) || leftOut.has(record.base.number)
    for (const { lcn, clusters: length, isOfContents } of runsIn(record)) {
      claimed += length
      // A disk made up to keep us busy would name the same clusters again and again.
      if (claimed > clusters) fail('its files lie in more clusters than it has')
      if (lcn + length > clusters) fail(`record ${record.number} lies outside of it`)
      if ((!isLeftOut || !isOfContents) && !kept.hasAll(lcn, lcn + length)) {
        fail(`record ${record.number} lies in clusters that are free, or another file's`)
      }
    }
  }
  if (own < OWN_RECORDS) fail('one of its own files is missing')
}

function * runsIn({ attributes }: NtfsRecord): Generator<{
  readonly lcn: number; readonly clusters: number; readonly isOfContents: boolean }> {
  for (const attribute of attributes) {
    if ('value' in attribute.place) continue
    const isOfContents = isContents(attribute)
    const runs = ntfsRuns(attribute.place.extent) ?? fail('the runs of a file are damaged')
    for (const { lcn, clusters } of runs) {
      if (lcn !== undefined) yield { lcn, clusters, isOfContents }
    }
  }
}

function isContents({ type, name }: { readonly type: number; readonly name: string }): boolean {
  return type === NTFS_ATTRIBUTES.data && name === ''
}
