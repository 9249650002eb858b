/** The CPU work on chunks: hash, find zeros, compress, seal, read back, gather into packs. */

import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { openBlob, type BlobKind } from '../format/blob.ts'
import type { PackTail } from './chunk-messages.ts'
import { SEAL_OVERHEAD_BYTES, type MasterKey } from '../format/crypto.ts'
import { blobIdOf, type BlobId } from '../format/id.ts'
import {
  PackBuilder, TARGET_PACK_BYTES, type FinishedPack,
} from '../format/pack.ts'
import { release } from '../release.ts'
import { zstdCompress } from '../format/zstd.ts'

/** The longest chunk a sealer takes. */
export const MAX_CHUNK_BYTES = 8 * 1024 * 1024

/** Room for a pack's blobs, of which there is always one at least. */
export const PACK_BUFFER_BYTES = TARGET_PACK_BYTES

export interface HashedRun {
  readonly ids: readonly BlobId[]
  readonly zeroChunks: number
}

/** The chunks of `bytes`: `chunkBytes` each, the last one what is left. Views, not copies. */
export function cutRun<T extends ArrayBufferLike>(
  bytes: Uint8Array<T>, chunkBytes: number): readonly Uint8Array<T>[] {
  const count = Math.ceil(bytes.length / chunkBytes)
  return Array.from({ length: count }, (_, n) =>
    bytes.subarray(n * chunkBytes, Math.min(bytes.length, (n + 1) * chunkBytes)))
}

/** Names chunks. Whole chunks of zeros are compared, not hashed: their id is worked out once. */
export class ChunkHasher {
  #zeros: Uint8Array = new Uint8Array(0)
  #zeroId: BlobId | undefined

  hash(chunks: readonly Uint8Array[], chunkBytes: number): HashedRun {
    if (this.#zeros.length !== chunkBytes) {
      this.#zeros = new Uint8Array(chunkBytes)
      this.#zeroId = undefined
    }
    let zeroChunks = 0
    const ids = chunks.map((chunk) => {
      if (Buffer.compare(chunk, this.#zeros.subarray(0, chunk.length)) !== 0) {
        return blobIdOf(chunk)
      }
      zeroChunks++
      return chunk.length === chunkBytes
        ? (this.#zeroId ??= blobIdOf(this.#zeros))
        : blobIdOf(chunk)
    })
    return { ids, zeroChunks }
  }
}

/** Seals chunks one after the other into a buffer, until that makes a pack. */
export class ChunkSealer {
  readonly #key: MasterKey
  readonly #random: RandomBytes
  readonly #zstdLevel: number
  readonly #verify: boolean
  #bytes: Uint8Array<ArrayBuffer> | undefined
  #pack: PackBuilder

  constructor(
    key: MasterKey, random: RandomBytes,
    options: { readonly zstdLevel: number; readonly verify: boolean },
  ) {
    this.#key = key
    this.#random = random
    this.#zstdLevel = options.zstdLevel
    this.#verify = options.verify
    this.#pack = new PackBuilder('data', key, random)
  }

  /** True while there is no buffer to seal into. */
  get needsBuffer(): boolean {
    return this.#bytes === undefined
  }

  /** Gives a buffer of `PACK_BUFFER_BYTES` for the next pack. */
  useBuffer(buffer: ArrayBuffer): void {
    assert(this.#bytes === undefined && buffer.byteLength === PACK_BUFFER_BYTES)
    this.#bytes = new Uint8Array(buffer)
  }

  /**
   * The pack so far, if it has no room for another chunk of `length` bytes; its `parts[0]` is a
   * view of the buffer, which is given away with it.
   */
  takeFull(length: number): FinishedPack | undefined {
    const bytes = this.#bytes
    if (bytes === undefined || this.#pack.blobCount === 0) return undefined
    const hasRoom = this.#pack.blobBytes + length + SEAL_OVERHEAD_BYTES <= bytes.length
    return hasRoom && !this.#pack.isFull ? undefined : this.#finish(bytes)
  }

  /** Compresses where that helps, and seals. There is a buffer, and room in it (`takeFull`). */
  add(id: BlobId, chunk: Uint8Array): void {
    const bytes = this.#bytes
    assert(bytes !== undefined && chunk.length <= MAX_CHUNK_BYTES)
    const compressed = zstdCompress(chunk, this.#zstdLevel)
    const isSmaller = compressed.length < chunk.length
    const payload = isSmaller ? compressed : chunk
    const uncompressedLength = isSmaller ? chunk.length : 0
    const at = this.#pack.blobBytes
    const sealed = bytes.subarray(at, at + payload.length + SEAL_OVERHEAD_BYTES)
    this.#key.sealInto(sealed, payload, this.#random)
    release(compressed)
    if (this.#verify) verifySealed(this.#key, 'data', id, sealed, uncompressedLength)
    this.#pack.add(id, sealed, uncompressedLength)
  }

  /** What fills no pack; undefined if that is nothing. The buffer is given away with it. */
  takeTail(): PackTail | undefined {
    const bytes = this.#bytes
    if (bytes === undefined || this.#pack.blobCount === 0) return undefined
    const tail = { bytes: bytes.subarray(0, this.#pack.blobBytes), blobs: this.#pack.blobs }
    this.#startPack()
    return tail
  }

  #finish(bytes: Uint8Array<ArrayBuffer>): FinishedPack {
    const blobBytes = this.#pack.blobBytes
    const pack = this.#pack.finish()
    this.#startPack()
    const header = pack.parts.at(-1)
    assert(header !== undefined)
    return { ...pack, parts: [bytes.subarray(0, blobBytes), header] }
  }

  #startPack(): void {
    this.#bytes = undefined
    this.#pack = new PackBuilder('data', this.#key, this.#random)
  }
}

/**
 * A bit that flips between hashing and sealing would be found at a restore: find it now. Fault:
 * `worker-failed`.
 */
export function verifySealed(
  key: MasterKey, kind: BlobKind, id: BlobId, sealed: Uint8Array, uncompressedLength: number,
): void {
  try {
    release(openBlob(key, { kind, id, uncompressedLength }, sealed))
  } catch (cause) {
    throw new Fault('worker-failed', 'a blob could not be read back just after it was sealed', {
      cause, advice: 'Test the memory of this host; nothing of it was stored.' })
  }
}
