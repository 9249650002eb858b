/** Reads a whole stored disk as fast as the store and all cores allow. */

import { availableParallelism } from 'node:os'
import { forEachBounded, mapBounded } from '../../base/bounded.ts'
import { throwIfAborted } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { between, type BlockSink } from '../../disk/mod.ts'
import { DiskChunks, type DiskChunk } from './disk-chunks.ts'
import { DiskTree, layoutOf, type DiskGeometry } from './disk-layout.ts'
import type { BlobId } from '../format/id.ts'
import { startOpenPool, type OpenPool, type Plaintexts } from '../read/open-blobs.ts'
import { planReads, type PlannedRead } from '../read/read-plan.ts'
import { release } from '../release.ts'
import type { Repository } from '../repository.ts'

export interface ReadDiskOptions {
  /** Threads that open and decompress; default min(cores, 4). */
  readonly workers?: number
}

/** Bytes at their place on the disk. The buffer belongs to the receiver. */
export interface DiskData {
  readonly offset: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

const DEFAULT_MAX_WORKERS = 4
/** Reads are planned for so much of the disk at once; chunks of one pack lie apart on it. */
const STRETCH_BYTES = 64 * 1024 * 1024
/** Reads under way for each thread: one on its way from the store while another is opened. */
const READS_PER_WORKER = 3
/** Enough to keep a file system busy; more would wait for the lock of the file. */
const WRITES_IN_FLIGHT = 4

/**
 * All of the disk that is not zero, each byte once, in no order: what is left out reads as zeros.
 * Needs the repository's index, and a shared lock that the caller holds meanwhile. Faults:
 * `point-invalid`, `repository-damaged`, `worker-failed`, the store's. A consumer that stops
 * early ends the threads.
 */
export async function* readDisk(
  repository: Repository, diskTreeId: BlobId, geometry: DiskGeometry, options: ReadDiskOptions,
  signal: AbortSignal,
): AsyncGenerator<DiskData, void, undefined> {
  throwIfAborted(signal)
  const { workers = Math.min(availableParallelism(), DEFAULT_MAX_WORKERS) } = options
  const tree = new DiskTree(repository, diskTreeId, layoutOf(geometry))
  await using pool = startOpenPool(repository.masterKey, Math.max(1, workers))
  const bounds = { inFlight: READS_PER_WORKER * Math.max(1, workers) }
  const reads = plannedReads(repository, tree, signal)
  for await (const data of mapBounded(reads, bounds, (read) =>
    readOne(repository, pool, read, signal))) {
    for (const { bytes, chunks } of data) {
      for (const [at, { offset }] of chunks.entries()) {
        throwIfAborted(signal)
        yield { offset, bytes: at === chunks.length - 1 ? bytes : bytes.slice() }
      }
    }
  }
}

interface ReadBlob {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly chunks: readonly DiskChunk[]
}

/**
 * Writes all of the disk that is not zero to `sink`, several places at once; the caller finishes
 * the sink. Faults: those of `readDisk` and of the sink.
 */
export async function copyDisk(
  repository: Repository, diskTreeId: BlobId, geometry: DiskGeometry, sink: BlockSink,
  options: ReadDiskOptions, onProgress: (writtenBytes: number) => void, signal: AbortSignal,
): Promise<void> {
  let writtenBytes = 0
  const data = readDisk(repository, diskTreeId, geometry, options, signal)
  await forEachBounded(data, { inFlight: WRITES_IN_FLIGHT }, async ({ offset, bytes }) => {
    const { length } = bytes
    await sink.write(offset, bytes, signal)
    release(bytes)
    onProgress(writtenBytes += length)
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

async function readOne(
  repository: Repository, pool: OpenPool, read: PlannedRead, signal: AbortSignal,
): Promise<readonly ReadBlob[]> {
  const { packId, offset, length, blobs } = read
  let plaintexts: Plaintexts
  try {
    plaintexts = await openRead(repository, pool, read, signal)
  } catch (error) {
    if (!isFault(error, 'repository-damaged', 'not-found')) throw error
    repository.log.warn('repository.range-damaged', { pack: packId, offset, length })
    plaintexts = await readEach(repository, read, signal)
  }
  return blobs.map(({ chunks }, at) => {
    const bytes = plaintexts[at]
    if (bytes === undefined) throw new RangeError('a blob of a read is missing')
    return { bytes, chunks }
  })
}

async function openRead(
  repository: Repository, pool: OpenPool, read: PlannedRead, signal: AbortSignal,
): Promise<Plaintexts> {
  const { packId, offset, length, blobs } = read
  const bytes = await repository.storage.get(
    { kind: 'data', name: packId }, { range: { offset, length } }, signal)
  const inRange = blobs.map(({ location }) => ({
    kind: location.kind, id: location.id, uncompressedLength: location.uncompressedLength,
    offset: location.offset - offset, length: location.length,
  }))
  return pool.ask({ bytes, blobs: inRange }, [bytes.buffer])
}

/** One by one, which finds the whole copy of a blob that is damaged in one of two packs. */
async function readEach(
  repository: Repository, read: PlannedRead, signal: AbortSignal,
): Promise<Plaintexts> {
  const plaintexts: Uint8Array<ArrayBuffer>[] = []
  for (const { location } of read.blobs) {
    plaintexts.push(await repository.readBlob('data', location.id, signal))
  }
  return plaintexts
}
