/** Where finished packs go: into the store first, then into the index, file by file. */

import { writeConfirmed, type ConfirmedWriteContext } from './confirmed-write.ts'
import {
  encodeIndexFile, MAX_BLOBS_PER_INDEX_FILE, type IndexedPack,
} from '../format/index-file.ts'
import type { RepositoryLock } from '../lock.ts'
import type { FinishedPack } from '../format/pack.ts'

export interface PackSinkOptions {
  readonly repository: ConfirmedWriteContext
  /** Without it nobody may prune meanwhile. */
  readonly lock: RepositoryLock | undefined
  /** Told of each pack once it is durable. */
  readonly onStored: (pack: FinishedPack) => void
  /** Told of each pack once an index file names it: only now may others refer to its blobs. */
  readonly onIndexed: (pack: IndexedPack) => void
  /** Ends every write under way. */
  readonly signal: AbortSignal
}

/**
 * Stores packs, and the index files that name them. Index files are written as they fill up, so
 * that a run that dies leaves most of its packs for the next one to find.
 */
export class PackSink {
  readonly #options: PackSinkOptions
  /** Packs that are durable and in no index file yet. */
  #pending: IndexedPack[] = []
  #pendingBlobs = 0

  constructor(options: PackSinkOptions) {
    this.#options = options
  }

  /** Durable when it resolves. Faults: those of `Storage.put`. */
  async put(pack: FinishedPack): Promise<void> {
    const { repository: { storage }, signal, onStored } = this.#options
    await storage.put({ kind: 'data', name: pack.id }, pack.parts, signal)
    onStored(pack)
    const isFull = this.#pendingBlobs + pack.blobs.length > MAX_BLOBS_PER_INDEX_FILE
    const full = isFull ? this.#takePending() : []
    this.#pending.push({ id: pack.id, blobs: pack.blobs })
    this.#pendingBlobs += pack.blobs.length
    await this.#writeIndexFile(full)
  }

  /** Writes the index file of the packs that are in none. Call it when no `put` is under way. */
  async flush(): Promise<void> {
    await this.#writeIndexFile(this.#takePending())
  }

  #takePending(): readonly IndexedPack[] {
    const packs = this.#pending
    this.#pending = []
    this.#pendingBlobs = 0
    return packs
  }

  async #writeIndexFile(packs: readonly IndexedPack[]): Promise<void> {
    if (packs.length === 0) return
    const { repository, lock, signal, onIndexed } = this.#options
    await writeConfirmed(repository, lock, 'index', encodeIndexFile(packs), signal)
    for (const pack of packs) onIndexed(pack)
  }
}
