/** Cuts runs of a disk into chunks and names them. */

import { blobIdOf, type BlobId } from '../format/id.ts'

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

  /** `nameOf` names what is not zeros, in order; it is told the chunk's position. */
  hash(
    chunks: readonly Uint8Array[], chunkBytes: number,
    nameOf: (chunk: Uint8Array, position: number) => BlobId = blobIdOf,
  ): HashedRun {
    if (this.#zeros.length !== chunkBytes) {
      this.#zeros = new Uint8Array(chunkBytes)
      this.#zeroId = undefined
    }
    let zeroChunks = 0
    const ids = chunks.map((chunk, position) => {
      if (Buffer.compare(chunk, this.#zeros.subarray(0, chunk.length)) !== 0) {
        return nameOf(chunk, position)
      }
      zeroChunks++
      return chunk.length === chunkBytes
        ? (this.#zeroId ??= blobIdOf(this.#zeros))
        : blobIdOf(chunk)
    })
    return { ids, zeroChunks }
  }
}
