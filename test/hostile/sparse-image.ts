/** A disk in memory that keeps only what is not zero, and copies that differ in a few places. */

import { open } from 'node:fs/promises'

const BLOCK = 4096

export class SparseImage {
  readonly sizeBytes: number
  readonly #blocks: ReadonlyMap<number, Buffer>
  /** Blocks of this copy alone. */
  readonly #own = new Map<number, Buffer>()

  private constructor(sizeBytes: number, blocks: ReadonlyMap<number, Buffer>) {
    this.sizeBytes = sizeBytes
    this.#blocks = blocks
  }

  static of(bytes: Uint8Array): SparseImage {
    const image = new SparseImage(bytes.length, new Map())
    image.put(0, bytes)
    return new SparseImage(bytes.length, image.#own)
  }

  static async read(path: string): Promise<SparseImage> {
    await using file = await open(path)
    const { size } = await file.stat()
    const blocks = new Map<number, Buffer>()
    const some = Buffer.alloc(1024 * BLOCK)
    for (let at = 0; at < size;) {
      const { bytesRead } = await file.read(some, 0, some.length, at)
      for (let from = 0; from < bytesRead; from += BLOCK) {
        const block = some.subarray(from, Math.min(bytesRead, from + BLOCK))
        if (block.some((byte) => byte !== 0)) {
          blocks.set((at + from) / BLOCK, Buffer.concat([block], BLOCK))
        }
      }
      at += bytesRead
    }
    return new SparseImage(size, blocks)
  }

  /** A copy that costs nothing, cut off at `sizeBytes`. */
  copy(sizeBytes = this.sizeBytes): SparseImage {
    return new SparseImage(sizeBytes, this.#blocks)
  }

  /** A copy of the bytes. A range that is not wholly inside is an error of whoever asks. */
  bytes(offset: number, length: number): Buffer {
    this.#checkInside(offset, length)
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length;) {
      const number = Math.floor((offset + at) / BLOCK)
      const from = (offset + at) % BLOCK
      const block = this.#own.get(number) ?? this.#blocks.get(number)
      block?.copy(bytes, at, from)
      at += BLOCK - from
    }
    return bytes
  }

  put(offset: number, bytes: Uint8Array): void {
    this.#checkInside(offset, bytes.length)
    for (let at = 0; at < bytes.length;) {
      const number = Math.floor((offset + at) / BLOCK)
      const from = (offset + at) % BLOCK
      const block = this.#own.get(number) ??
        Buffer.concat([this.#blocks.get(number) ?? Buffer.alloc(0)], BLOCK)
      block.set(bytes.subarray(at, at + BLOCK - from), from)
      this.#own.set(number, block)
      at += BLOCK - from
    }
  }

  #checkInside(offset: number, length: number): void {
    const isInside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) &&
      offset >= 0 && length >= 0 && offset + length <= this.sizeBytes
    if (!isInside) throw new RangeError(`${length} bytes at ${offset} of ${this.sizeBytes}`)
  }
}
