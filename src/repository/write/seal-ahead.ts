/**
 * Chunks that are sealed before it is known whether they are wanted. Where all are new, as in a
 * first backup, that saves one of the two times that a chunk is hashed which is read back.
 */

import type { SealedBlob } from '../format/blob.ts'
import { SEAL_OVERHEAD_BYTES } from '../format/crypto.ts'
import type { BlobId } from '../format/id.ts'
import { nameSealed, sealChunk, type SealTools } from './seal-chunk.ts'

/**
 * After a known chunk so many in a row must be new again. To seal a known one costs a dozen times
 * what a new one saves: of a disk of which a few percent are known little is sealed ahead. At the
 * start new ones are expected: what was not changed is seldom read at all.
 */
const NEW_IN_A_ROW = 64

/** A run that is sealed ahead. */
export interface SealedAhead {
  /** Seals and names its chunks, for `ChunkHasher`. Fault: `worker-failed`. */
  readonly nameOf: (chunk: Uint8Array, position: number) => BlobId
  /** By position; there is none for zeros, which are rarely wanted. */
  readonly sealed: readonly (SealedBlob | undefined)[]
  /** What they lie in. */
  readonly room: ArrayBuffer
}

export class SealAhead {
  readonly #tools: SealTools
  /** Rooms of runs that are done. */
  readonly #free: ArrayBuffer[] = []
  #newInARow = NEW_IN_A_ROW

  constructor(tools: SealTools) {
    this.#tools = tools
  }

  /** For a run of so many bytes in so many chunks; undefined if it should not be sealed ahead. */
  begin(bytes: number, chunks: number): SealedAhead | undefined {
    if (this.#newInARow < NEW_IN_A_ROW) return undefined
    const room = this.#takeRoom(bytes + chunks * SEAL_OVERHEAD_BYTES)
    const sealed = Array<SealedBlob | undefined>(chunks).fill(undefined)
    let at = 0
    const nameOf = (chunk: Uint8Array, position: number): BlobId => {
      const one = sealChunk(this.#tools, chunk, new Uint8Array(room, at))
      at += one.sealed.length
      sealed[position] = one
      return nameSealed(this.#tools.key, chunk, one)
    }
    return { nameOf, sealed, room }
  }

  /** A run is done, sealed ahead or not: it had `chunks` that are not zeros. */
  end(run: SealedAhead | undefined, chunks: number, wanted: number): void {
    if (run !== undefined) this.#free.push(run.room)
    this.#newInARow = wanted < chunks ? 0 : this.#newInARow + chunks
  }

  /** As long as no chunk gets shorter. */
  #takeRoom(bytes: number): ArrayBuffer {
    const room = this.#free.pop()
    if (room !== undefined && room.byteLength >= bytes) return room
    room?.transfer(0)
    return new ArrayBuffer(bytes)
  }
}
