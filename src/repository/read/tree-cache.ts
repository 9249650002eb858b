/** Keeps the trees that were used last. */

import type { BlobId } from '../format/id.ts'
import type { Tree } from '../format/tree.ts'

/** Counted in bytes of plaintext; parsed, they take about three times that. */
const MAX_CACHED_BYTES = 8 * 1024 * 1024

export class TreeCache {
  /** In the order of use, oldest first. */
  readonly #entries = new Map<BlobId, { readonly tree: Tree; readonly bytes: number }>()
  #bytes = 0

  get(id: BlobId): Tree | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    return entry.tree
  }

  /** A tree larger than the whole cache is not kept. */
  add(id: BlobId, tree: Tree, bytes: number): void {
    if (bytes > MAX_CACHED_BYTES || this.#entries.has(id)) return
    this.#entries.set(id, { tree, bytes })
    this.#bytes += bytes
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= MAX_CACHED_BYTES) return
      this.#entries.delete(oldest)
      this.#bytes -= entry.bytes
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }
}
