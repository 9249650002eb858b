/** Opens the blobs of a range of a pack; open-worker.ts does it in a thread of its own. */

import { ThreadPool } from '../../base/thread-pool.ts'
import type { SinkFile } from '../../disk/mod.ts'
import { openBlob, type BlobToOpen } from '../format/blob.ts'
import type { MasterKey } from '../format/crypto.ts'
import { release } from '../release.ts'
import { OpenThreads } from './open-threads.ts'
import { writeChunk } from './write-chunk.ts'

/** A sealed blob within a range of a pack. */
export interface BlobInRange extends BlobToOpen {
  /** From the start of the range. */
  readonly offset: number
  readonly length: number
  /** Where on the disk it belongs, once or more. */
  readonly places: readonly number[]
}

/** Open `blobs`, which lie in `bytes`; the buffer travels. */
export interface OpenRequest {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly blobs: readonly BlobInRange[]
  /** Where a thread writes them. */
  readonly file: SinkFile | undefined
}

/** In the order of the blobs, in buffers that travel. */
export type Plaintexts = readonly Uint8Array<ArrayBuffer>[]

/** What was opened, unless it was written. */
export type OpenReply = Plaintexts | 'written'

/**
 * Sealed ranges go in, plaintexts come out or are written. Faults: `repository-damaged`, after
 * which some of the range may be written; `worker-failed`, `no-space`, `io-error`.
 */
export type OpenPool = ThreadPool<OpenRequest, OpenReply>

/**
 * `count` threads at most, of `threads` as long as some wait there, which stays the caller's. Where
 * none were started the first few blobs are not worth one.
 */
export function startOpenPool(
  key: MasterKey, count: number, threads: OpenThreads | undefined): OpenPool {
  const source = threads ?? new OpenThreads(0)
  const here = { answer: (request: OpenRequest) => openBlobs(key, request), bytesOf }
  return new ThreadPool<OpenRequest, OpenReply>({
    threads: count, does: 'opens chunks',
    ...threads === undefined ? { here } : {},
    start: () => {
      const worker = source.take()
      const bytes = key.toBytes()
      worker.postMessage(bytes, [bytes.buffer])
      return worker
    },
  })
}

function bytesOf({ bytes, blobs }: OpenRequest): number {
  return blobs.reduce((sum, blob) => sum + blob.uncompressedLength, bytes.length)
}

/** Node may keep short buffers in one pool, which cannot travel. */
const POOLED_BYTES = 64 * 1024

/** Fault: `repository-damaged`. */
export function openBlobs(key: MasterKey, { bytes, blobs }: OpenRequest): Plaintexts {
  const plaintexts = blobs.map((blob) => {
    const plain = openOne(key, blob, bytes)
    return plain.length < POOLED_BYTES ? new Uint8Array(plain) : plain
  })
  release(bytes)
  return plaintexts
}

/** As `openBlobs`, but each goes to its places in `file`. Faults: also `no-space`, `io-error`. */
export function writeBlobs(
  key: MasterKey, { bytes, blobs }: OpenRequest, file: SinkFile): void {
  for (const blob of blobs) {
    const plain = openOne(key, blob, bytes)
    for (const place of blob.places) writeChunk(file, place, plain)
    release(plain)
  }
  release(bytes)
}

function openOne(
  key: MasterKey, blob: BlobInRange, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return openBlob(key, blob, bytes.subarray(blob.offset, blob.offset + blob.length))
}
