/** The chunks of a stored disk in their order, without reading them. */

import { endOf, type Range } from '../../disk/mod.ts'
import type { DiskTree } from './disk-layout.ts'
import { blobIdOf, type BlobId } from '../format/id.ts'

/** A chunk at its place on the disk. */
export interface DiskChunk extends Range {
  readonly id: BlobId
}

/** Ids of segments that were looked at last and are kept, 88 bytes each: 128 GiB of disk. */
const CACHED_IDS = 256 * 1024

export class DiskChunks {
  readonly #tree: DiskTree
  /** By number, the one used last at the end. */
  readonly #segments = new Map<number, readonly BlobId[]>()
  #cachedIds = 0
  readonly #zeroIds: ReadonlySet<BlobId>

  constructor(tree: DiskTree) {
    this.#tree = tree
    const { chunkBytes, sizeBytes } = tree.layout
    const lengths = [chunkBytes, sizeBytes % chunkBytes].filter((length) => length > 0)
    this.#zeroIds = new Set(lengths.map(zeroIdOf))
  }

  /** True if the chunk of this id is nothing but zeros. */
  isZero(id: BlobId): boolean {
    return this.#zeroIds.has(id)
  }

  /**
   * The chunks that hold a byte of `range`, whole, in order, segment by segment: one by one they
   * would take a second for a terabyte. Faults: those of `DiskTree`.
   */
  async *in(
    range: Range, signal: AbortSignal): AsyncGenerator<readonly DiskChunk[], void, undefined> {
    const { chunkBytes, segmentBytes, sizeBytes } = this.#tree.layout
    const end = endOf(range)
    for (let at = range.offset - (range.offset % chunkBytes); at < end;) {
      const segment = Math.floor(at / segmentBytes)
      const ids = await this.#idsOf(segment, signal)
      const segmentEnd = Math.min((segment + 1) * segmentBytes, end)
      const chunks: DiskChunk[] = []
      for (; at < segmentEnd; at += chunkBytes) {
        const id = ids[(at % segmentBytes) / chunkBytes]
        // DiskTree has counted them.
        if (id === undefined) throw new RangeError(`segment ${segment} has no chunk at ${at}`)
        chunks.push({ id, offset: at, length: Math.min(chunkBytes, sizeBytes - at) })
      }
      yield chunks
    }
  }

  async #idsOf(segment: number, signal: AbortSignal): Promise<readonly BlobId[]> {
    const ids = this.#segments.get(segment) ?? await this.#tree.chunkIds(segment, signal)
    if (!this.#segments.delete(segment)) this.#cachedIds += ids.length
    this.#segments.set(segment, ids)
    for (const [oldest, { length }] of this.#segments) {
      if (this.#cachedIds <= CACHED_IDS || oldest === segment) break
      this.#segments.delete(oldest)
      this.#cachedIds -= length
    }
    return ids
  }
}

/** By length. To hash half a megabyte takes longer than to open a disk. */
const zeroIds = new Map<number, BlobId>()
const MAX_ZERO_IDS = 64

function zeroIdOf(length: number): BlobId {
  const known = zeroIds.get(length)
  if (known !== undefined) return known
  const id = blobIdOf(new Uint8Array(length))
  if (zeroIds.size < MAX_ZERO_IDS) zeroIds.set(length, id)
  return id
}
