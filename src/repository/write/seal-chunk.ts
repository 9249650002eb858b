/** One chunk sealed, and read back: what a chunk lane does with each, in one of two orders. */

import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import {
  openBlob, openUnnamed, sealShorter, type BlobKind, type SealedBlob,
} from '../format/blob.ts'
import type { MasterKey } from '../format/crypto.ts'
import { blobIdOf, type BlobId } from '../format/id.ts'
import { release } from '../release.ts'

export interface SealTools {
  readonly key: MasterKey
  readonly random: RandomBytes
  /** One frame of zstd, which may be longer. */
  readonly compress: (chunk: Uint8Array) => Uint8Array<ArrayBuffer>
}

/** Compresses where that helps, and seals into the start of `room`, which is long enough. */
export function sealChunk(
  { key, random, compress }: SealTools, chunk: Uint8Array, room: Uint8Array<ArrayBuffer>,
): SealedBlob {
  const compressed = compress(chunk)
  const blob = sealShorter(key, chunk, compressed, random, room)
  release(compressed)
  return blob
}

/**
 * A bit that flips between hashing and sealing would be found at a restore: find it now. Fault:
 * `worker-failed`.
 */
export function verifySealed(
  key: MasterKey, kind: BlobKind, id: BlobId, { sealed, uncompressedLength }: SealedBlob): void {
  try {
    release(openBlob(key, { kind, id, uncompressedLength }, sealed))
  } catch (cause) {
    throw notReadBack(cause)
  }
}

/**
 * The id of a chunk that has none yet, taken from what is read back, which is compared with the
 * chunk byte by byte: as safe as `verifySealed`, and hashed but once. Fault: `worker-failed`.
 */
export function nameSealed(
  key: MasterKey, chunk: Uint8Array, { sealed, uncompressedLength }: SealedBlob): BlobId {
  let plaintext: Uint8Array<ArrayBuffer>
  try {
    plaintext = openUnnamed(key, 'a new chunk', uncompressedLength, sealed)
  } catch (cause) {
    throw notReadBack(cause)
  }
  if (Buffer.compare(plaintext, chunk) !== 0) throw notReadBack()
  const id = blobIdOf(plaintext)
  release(plaintext)
  return id
}

function notReadBack(cause?: unknown): Fault {
  return new Fault('worker-failed', 'a blob could not be read back just after it was sealed', {
    cause, advice: 'Test the memory of this host; nothing of it was stored.' })
}
