/** Blobs: chunks of files (`data`) and directories (`tree`), compressed and sealed one by one. */

import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { SEAL_OVERHEAD_BYTES, type MasterKey } from './crypto.ts'
import { blobIdOf, type BlobId } from './id.ts'
import { release } from '../release.ts'
import { zstdCompress, zstdDecompress } from './zstd.ts'

export type BlobKind = 'data' | 'tree'

/** A blob's plaintext that is longer is refused: a reader holds all of it, sealed and open. */
export const MAX_BLOB_BYTES = 256 * 1024 * 1024

/** A blob that is ready for a pack. */
export interface SealedBlob {
  readonly sealed: Uint8Array<ArrayBuffer>
  /** Bytes of the plaintext; 0 where it is stored uncompressed. */
  readonly uncompressedLength: number
}

/**
 * Compresses if that makes it smaller, and seals. The plaintext is 1 to `MAX_BLOB_BYTES` long;
 * its id (`blobIdOf`) is the caller's affair, who needs it before to leave out what is stored.
 */
export function sealBlob(
  key: MasterKey, plaintext: Uint8Array, random: RandomBytes, level?: number): SealedBlob {
  if (plaintext.length === 0 || plaintext.length > MAX_BLOB_BYTES) {
    throw new RangeError(`a blob of ${plaintext.length} bytes cannot be stored`)
  }
  return sealShorter(key, plaintext, zstdCompress(plaintext, level), random)
}

/** Seals the shorter of both: into the start of `room`, which is long enough, or a new buffer. */
export function sealShorter(
  key: MasterKey, plaintext: Uint8Array, compressed: Uint8Array, random: RandomBytes,
  room?: Uint8Array<ArrayBuffer>,
): SealedBlob {
  const isSmaller = compressed.length < plaintext.length
  const payload = isSmaller ? compressed : plaintext
  const length = payload.length + SEAL_OVERHEAD_BYTES
  const sealed = room?.subarray(0, length) ?? new Uint8Array(length)
  key.sealInto(sealed, payload, random)
  return { sealed, uncompressedLength: isSmaller ? plaintext.length : 0 }
}

/** What a reader must know of a sealed blob to open it. */
export interface BlobToOpen {
  readonly kind: BlobKind
  readonly id: BlobId
  readonly uncompressedLength: number
}

/**
 * The plaintext, verified: MAC, length and SHA-256. It is the caller's, and may share its memory
 * with nothing else. Fault: `repository-damaged`.
 */
export function openBlob(
  key: MasterKey, blob: BlobToOpen, sealed: Uint8Array): Uint8Array<ArrayBuffer> {
  const what = `${blob.kind} blob ${blob.id}`
  const plaintext = openUnnamed(key, what, blob.uncompressedLength, sealed)
  if (blobIdOf(plaintext) !== blob.id) {
    throw new Fault('repository-damaged', `${what} has other content than its id says`)
  }
  return plaintext
}

/** As `openBlob`, but for the SHA-256, which the caller has to see to; `what` is for faults. */
export function openUnnamed(
  key: MasterKey, what: string, uncompressedLength: number, sealed: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (uncompressedLength > MAX_BLOB_BYTES) {
    throw new Fault('repository-damaged', `${what} claims ${uncompressedLength} bytes`)
  }
  const opened = key.open(sealed, what)
  if (uncompressedLength === 0) return plain(opened)
  const plaintext = zstdDecompress(opened, uncompressedLength, what, uncompressedLength)
  release(opened)
  // Readers work out from the lengths which blob holds an offset, before they have read any.
  if (plaintext.length === uncompressedLength) return plain(plaintext)
  throw new Fault('repository-damaged', `${what} has another length than is said of it`)
}

/** Not Node's own kind of buffer, whose `slice` is a view and no copy. */
function plain(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Bytes of plaintext of a blob stored as `length` sealed bytes. */
export function plaintextLength(blob: {
  readonly length: number
  readonly uncompressedLength: number
}): number {
  return blob.uncompressedLength > 0 ? blob.uncompressedLength : blob.length - SEAL_OVERHEAD_BYTES
}
