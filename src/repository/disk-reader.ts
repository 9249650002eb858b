/** Reads a whole stored disk as fast as the store and all cores allow. */

import { layoutOf, type DiskGeometry } from './disk-layout.ts'
import type { BlobId } from './id.ts'
import type { Repository } from './repository.ts'

export interface ReadDiskOptions {
  /** Threads that open and decompress; default min(cores, 4). */
  readonly workers?: number
}

/** Bytes at their place on the disk. The buffer belongs to the receiver. */
export interface DiskData {
  readonly offset: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

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
  layoutOf(geometry)
  throw new Error('not yet')
}
