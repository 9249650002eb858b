/** Opens the blobs of a range of a pack; open-worker.ts does it in a thread of its own. */

import { ThreadPool } from '../../base/thread-pool.ts'
import { startWorker } from '../../base/worker.ts'
import { openBlob, type BlobToOpen } from '../format/blob.ts'
import type { MasterKey } from '../format/crypto.ts'
import { release } from '../release.ts'

/** A sealed blob within a range of a pack. */
export interface BlobInRange extends BlobToOpen {
  /** From the start of the range. */
  readonly offset: number
  readonly length: number
}

/** Open `blobs`, which lie in `bytes`; the buffer travels. */
export interface OpenRequest {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly blobs: readonly BlobInRange[]
}

/** In the order of the blobs, in buffers that travel. */
export type Plaintexts = readonly Uint8Array<ArrayBuffer>[]

/** Sealed ranges go in, plaintexts come out. Faults: `repository-damaged`, `worker-failed`. */
export type OpenPool = ThreadPool<OpenRequest, Plaintexts>

export function startOpenPool(key: MasterKey, threads: number): OpenPool {
  const workerData = key.toBytes()
  return new ThreadPool({
    threads, does: 'opens chunks',
    here: { answer: (request) => openBlobs(key, request), bytesOf },
    start: () => startWorker('./open-worker', import.meta, { workerData }),
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
    const plain = openBlob(key, blob, bytes.subarray(blob.offset, blob.offset + blob.length))
    return plain.length < POOLED_BYTES ? new Uint8Array(plain) : plain
  })
  release(bytes)
  return plaintexts
}
