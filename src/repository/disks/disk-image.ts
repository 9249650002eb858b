/** A stored disk, readable at any offset: what instant boot, mounts and checks read. */

import { Fault } from '../../base/fault.ts'
import {
  between, checkInside, endOf, type BlockSource, type Extent, type Range,
} from '../../disk/mod.ts'
import { DiskChunks, type DiskChunk } from './disk-chunks.ts'
import { DiskTree, layoutOf, type DiskGeometry } from './disk-layout.ts'
import type { BlobId } from '../format/id.ts'
import type { Repository } from '../repository.ts'

/** Chunks that were read last and are kept, plain. */
const CACHE_BYTES = 64 * 1024 * 1024

/**
 * The disk whose folder has the tree `diskTreeId`. Needs the repository's index, and a shared lock
 * that the caller holds as long as it reads. What is not stored as `geometry` says is
 * `point-invalid`, damaged blobs are `repository-damaged`.
 */
export function openDiskImage(
  repository: Repository, diskTreeId: BlobId, geometry: DiskGeometry): BlockSource {
  return new DiskImage(repository, new DiskTree(repository, diskTreeId, layoutOf(geometry)))
}

class DiskImage implements BlockSource {
  readonly name: string
  readonly sizeBytes: number
  readonly #repository: Repository
  readonly #chunks: DiskChunks
  readonly #closed = new AbortController()
  /** Plain chunks, read or being read, the one used last at the end. */
  readonly #cache = new Map<BlobId, Promise<Uint8Array>>()
  readonly #cacheCount: number

  constructor(repository: Repository, tree: DiskTree) {
    this.#repository = repository
    this.#chunks = new DiskChunks(tree)
    this.#cacheCount = Math.max(2, Math.floor(CACHE_BYTES / tree.layout.chunkBytes))
    this.sizeBytes = tree.layout.sizeBytes
    this.name = `disk of repository ${repository.id.slice(0, 8)}`
  }

  async read(
    offset: number, length: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    const stop = AbortSignal.any([signal, this.#closed.signal])
    const bytes = new Uint8Array(length)
    const range = between(offset, offset + length)
    for await (const chunks of this.#chunks.in(range, stop)) {
      for (const chunk of chunks) {
        if (this.#chunks.isZero(chunk.id)) continue
        const plain = await this.#readChunk(chunk, stop)
        const from = Math.max(offset, chunk.offset)
        const to = Math.min(endOf(range), endOf(chunk))
        bytes.set(plain.subarray(from - chunk.offset, to - chunk.offset), from - offset)
      }
    }
    return bytes
  }

  async *extents(range: Range, signal: AbortSignal): AsyncGenerator<Extent, void, undefined> {
    checkInside(this, range.offset, range.length)
    const stop = AbortSignal.any([signal, this.#closed.signal])
    let open: Extent | undefined
    for await (const chunks of this.#chunks.in(range, stop)) {
      for (const chunk of chunks) {
        const kind = this.#chunks.isZero(chunk.id) ? 'zero' : 'data'
        const start = Math.max(range.offset, chunk.offset)
        const end = Math.min(endOf(range), endOf(chunk))
        if (open !== undefined && open.kind !== kind) {
          yield open
          open = undefined
        }
        open = { kind, ...between(open?.offset ?? start, end) }
      }
    }
    if (open !== undefined) yield open
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Fault('disk-lost', `${this.name} was closed`))
    this.#cache.clear()
  }

  async #readChunk(chunk: DiskChunk, signal: AbortSignal): Promise<Uint8Array> {
    const plain = await this.#cached(chunk.id, signal)
    if (plain.length === chunk.length) return plain
    throw wrongLength(chunk, plain.length)
  }

  /** Readers of one chunk at one time share its reading, and an abort by the first of them. */
  async #cached(id: BlobId, signal: AbortSignal): Promise<Uint8Array> {
    const known = this.#cache.get(id)
    const reading = known ?? this.#repository.readBlob('data', id, signal)
    this.#cache.delete(id)
    this.#cache.set(id, reading)
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= this.#cacheCount) break
      this.#cache.delete(oldest)
    }
    try {
      return await reading
    } catch (error) {
      if (this.#cache.get(id) === reading) this.#cache.delete(id)
      // The reading was another's, who gave up; this one did not.
      if (known === undefined || signal.aborted) throw error
      return this.#repository.readBlob('data', id, signal)
    }
  }
}

/** A chunk whose blob does not fill its place on the disk. */
export function wrongLength(chunk: DiskChunk, length: number): Fault {
  return new Fault('point-invalid',
    `the chunk at ${chunk.offset} of a disk has ${length} bytes instead of ${chunk.length}`)
}
