/** Gathers chunks into packs: seals them one after the other into a buffer. */

import assert from 'node:assert/strict'
import type { PackTail } from './chunk-messages.ts'
import type { SealedBlob } from '../format/blob.ts'
import { SEAL_OVERHEAD_BYTES } from '../format/crypto.ts'
import type { BlobId } from '../format/id.ts'
import {
  PackBuilder, TARGET_PACK_BYTES, type FinishedPack,
} from '../format/pack.ts'
import { sealChunk, verifySealed, type SealTools } from './seal-chunk.ts'

/** The longest chunk a sealer takes. */
export const MAX_CHUNK_BYTES = 8 * 1024 * 1024

/** Room for a pack's blobs, of which there is always one at least. */
export const PACK_BUFFER_BYTES = TARGET_PACK_BYTES

/** Seals chunks one after the other into a buffer, until that makes a pack. */
export class ChunkSealer {
  readonly #tools: SealTools
  readonly #verify: boolean
  #bytes: Uint8Array<ArrayBuffer> | undefined
  #pack: PackBuilder

  constructor(tools: SealTools, options: { readonly verify: boolean }) {
    this.#tools = tools
    this.#verify = options.verify
    this.#pack = this.#newPack()
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

  /** Seals a chunk. There is a buffer, and room in it (`takeFull`). */
  add(id: BlobId, chunk: Uint8Array): void {
    assert(chunk.length <= MAX_CHUNK_BYTES)
    const one = sealChunk(this.#tools, chunk, this.#room())
    if (this.#verify) verifySealed(this.#tools.key, 'data', id, one)
    this.#pack.add(id, one.sealed, one.uncompressedLength)
  }

  /** Takes a copy of one that is sealed and read back. */
  addSealed(id: BlobId, { sealed, uncompressedLength }: SealedBlob): void {
    const copy = this.#room().subarray(0, sealed.length)
    copy.set(sealed)
    this.#pack.add(id, copy, uncompressedLength)
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

  #room(): Uint8Array<ArrayBuffer> {
    assert(this.#bytes !== undefined)
    return this.#bytes.subarray(this.#pack.blobBytes)
  }

  #startPack(): void {
    this.#bytes = undefined
    this.#pack = this.#newPack()
  }

  #newPack(): PackBuilder {
    return new PackBuilder('data', this.#tools.key, this.#tools.random)
  }
}
