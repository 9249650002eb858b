/** Writes a whole stored disk to a sink, as fast as the store and all cores allow. */

import { availableParallelism } from 'node:os'
import { forEachBounded } from '../../base/bounded.ts'
import { throwIfAborted } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { between, checkInside, type BlockSink } from '../../disk/mod.ts'
import { DiskChunks, type DiskChunk } from './disk-chunks.ts'
import { DiskTree, layoutOf, type DiskGeometry } from './disk-layout.ts'
import type { BlobId } from '../format/id.ts'
import { startOpenPool, type OpenPool, type OpenReply } from '../read/open-blobs.ts'
import type { OpenThreads } from '../read/open-threads.ts'
import { planReads, type PlannedRead } from '../read/read-plan.ts'
import { release } from '../release.ts'
import type { Repository } from '../repository.ts'

export interface CopyDiskOptions {
  /** Threads that open, decompress and write; default min(cores, 4). */
  readonly workers?: number
  /** Where they come from, if some wait already; it stays the caller's. */
  readonly threads?: OpenThreads
}

const DEFAULT_MAX_WORKERS = 4
/** Reads are planned for so much of the disk at once; chunks of one pack lie apart on it. */
const STRETCH_BYTES = 64 * 1024 * 1024
/** Reads under way for each thread: one on its way from the store while another is opened. */
const READS_PER_WORKER = 3

/**
 * Writes all of the disk that is not zero to `sink`, in no order; threads write to the sink's file
 * where it has one, and have ended when this settles. The caller finishes the sink. Needs the
 * repository's index, and a shared lock that the caller holds meanwhile. Faults: `point-invalid`,
 * `repository-damaged`, `worker-failed`, those of the store and of the sink.
 */
export async function copyDisk(
  repository: Repository, diskTreeId: BlobId, geometry: DiskGeometry, sink: BlockSink,
  options: CopyDiskOptions, onProgress: (writtenBytes: number) => void, signal: AbortSignal,
): Promise<void> {
  throwIfAborted(signal)
  const { workers = Math.min(availableParallelism(), DEFAULT_MAX_WORKERS), threads } = options
  const tree = new DiskTree(repository, diskTreeId, layoutOf(geometry))
  await using pool = startOpenPool(repository.masterKey, Math.max(1, workers), threads)
  const bounds = { inFlight: READS_PER_WORKER * Math.max(1, workers) }
  let writtenBytes = 0
  await forEachBounded(plannedReads(repository, tree, signal), bounds, async (read) => {
    await copyRead({ repository, pool, sink }, read, signal)
    throwIfAborted(signal)
    for (const { chunks } of read.blobs) {
      for (const { length } of chunks) writtenBytes += length
    }
    onProgress(writtenBytes)
  })
}

async function* plannedReads(
  repository: Repository, tree: DiskTree, signal: AbortSignal,
): AsyncGenerator<PlannedRead, void, undefined> {
  const chunks = new DiskChunks(tree)
  let stretch: DiskChunk[] = []
  let end = STRETCH_BYTES
  for await (const segment of chunks.in(between(0, tree.layout.sizeBytes), signal)) {
    for (const chunk of segment) {
      if (chunk.offset >= end) {
        yield* planReads(repository.index, stretch)
        stretch = []
        end = chunk.offset + STRETCH_BYTES
      }
      if (!chunks.isZero(chunk.id)) stretch.push(chunk)
    }
  }
  yield* planReads(repository.index, stretch)
}

interface Copying {
  readonly repository: Repository
  readonly pool: OpenPool
  readonly sink: BlockSink
}

async function copyRead(
  { repository, pool, sink }: Copying, read: PlannedRead, signal: AbortSignal): Promise<void> {
  for (const { chunks } of read.blobs) {
    for (const { offset, length } of chunks) checkInside(sink, offset, length)
  }
  let reply: OpenReply
  try {
    reply = await openRead(repository, pool, read, sink, signal)
  } catch (error) {
    if (!isFault(error, 'repository-damaged', 'not-found')) throw error
    const { packId, offset, length } = read
    repository.log.warn('repository.range-damaged', { pack: packId, offset, length })
    return copyEach(repository, read, sink, signal)
  }
  if (reply === 'written') return
  for (const [at, { chunks }] of read.blobs.entries()) {
    const bytes = reply[at]
    if (bytes === undefined) throw new RangeError('a blob of a read is missing')
    for (const { offset } of chunks) await sink.write(offset, bytes, signal)
    release(bytes)
  }
}

async function openRead(
  repository: Repository, pool: OpenPool, read: PlannedRead, { file }: BlockSink,
  signal: AbortSignal,
): Promise<OpenReply> {
  const { packId, offset, length, blobs } = read
  const bytes = await repository.storage.get(
    { kind: 'data', name: packId }, { range: { offset, length } }, signal)
  throwIfAborted(signal)
  const inRange = blobs.map(({ location, chunks }) => ({
    kind: location.kind, id: location.id, uncompressedLength: location.uncompressedLength,
    offset: location.offset - offset, length: location.length,
    places: chunks.map(({ offset }) => offset),
  }))
  return pool.ask({ bytes, blobs: inRange, file }, [bytes.buffer])
}

/** One by one, which finds the whole copy of a blob that is damaged in one of two packs. */
async function copyEach(
  repository: Repository, read: PlannedRead, sink: BlockSink, signal: AbortSignal,
): Promise<void> {
  for (const { location, chunks } of read.blobs) {
    const bytes = await repository.readBlob('data', location.id, signal)
    for (const { offset } of chunks) await sink.write(offset, bytes, signal)
    release(bytes)
  }
}
