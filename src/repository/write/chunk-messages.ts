/** What the writing thread and its chunk workers say to each other. Buffers travel, uncopied. */

import type { FaultMessage } from '../../base/fault-message.ts'
import type { BlobId } from '../format/id.ts'
import type { PackedBlob, FinishedPack } from '../format/pack.ts'

/** What a chunk worker is to seal with. */
export interface ChunkWorkerSettings {
  readonly key: Uint8Array
  /** Undefined: chosen as it is repaid. */
  readonly zstdLevel: number | undefined
  /** Open each blob again after sealing it and compare its hash, before it may be stored. */
  readonly verify: boolean
}

export type ToChunkWorker =
  /** Comes first, and once. */
  | { readonly type: 'settings' } & ChunkWorkerSettings
  | ToChunkLane

export type ToChunkLane =
  /** Bytes to be cut into chunks of `chunkBytes`, the last one shorter; the buffer travels. */
  | { readonly type: 'run'; readonly run: number; readonly chunkBytes: number
      readonly bytes: Uint8Array<ArrayBuffer> }
  /** The answer to `ids`: the positions in the run of the chunks to be stored. */
  | { readonly type: 'wanted'; readonly run: number; readonly positions: readonly number[] }
  /** The buffer of a pack that is stored, to be filled again. */
  | { readonly type: 'buffer'; readonly buffer: ArrayBuffer }
  /** Hand over the unfinished pack once all runs before are done. */
  | { readonly type: 'tail' }

export type FromChunkWorker =
  /** The ids of a run's chunks, in order; how many of them are all zeros. */
  | { readonly type: 'ids'; readonly run: number; readonly ids: readonly BlobId[]
      readonly zeroChunks: number }
  /** The wanted chunks of the run are in packs; its buffer goes back. */
  | { readonly type: 'done'; readonly run: number; readonly memory: ArrayBuffer }
  /** The buffer of `parts[0]` travels and is to come back. */
  | { readonly type: 'pack'; readonly pack: FinishedPack }
  | { readonly type: 'tail'; readonly tail: PackTail }
  | { readonly type: 'failed'; readonly fault: FaultMessage }

/** Sealed blobs that fill no pack: `blobs` lie in `bytes`, one after the other. */
export interface PackTail {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly blobs: readonly PackedBlob[]
}
