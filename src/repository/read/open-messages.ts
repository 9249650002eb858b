/** What a reading thread and its worker say to each other; and what the worker does. */

import { isFault, type FaultCode } from '../../base/fault.ts'
import { openBlob, type BlobToOpen } from '../format/blob.ts'
import type { MasterKey } from '../format/crypto.ts'
import { release } from '../release.ts'

/** A sealed blob within a range of a pack. */
export interface BlobInRange extends BlobToOpen {
  /** From the start of the range. */
  readonly offset: number
  readonly length: number
}

/** Open `blobs`, which lie in `bytes`; the buffer travels. */
export interface OpenRequest {
  readonly task: number
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly blobs: readonly BlobInRange[]
}

/** The plaintexts in the order of the blobs, in buffers that travel; or what is wrong. */
export type OpenReply =
  | { readonly task: number; readonly plaintexts: readonly Uint8Array<ArrayBuffer>[] }
  | { readonly task: number; readonly code: FaultCode; readonly message: string }

/** Node may keep short buffers in one pool, which cannot travel. */
const POOLED_BYTES = 64 * 1024

export function answerOpen(key: MasterKey, request: OpenRequest): OpenReply {
  const { task, bytes, blobs } = request
  try {
    const plaintexts = blobs.map((blob) => {
      const plain = openBlob(key, blob, bytes.subarray(blob.offset, blob.offset + blob.length))
      return plain.length < POOLED_BYTES ? new Uint8Array(plain) : plain
    })
    release(bytes)
    return { task, plaintexts }
  } catch (error) {
    if (!isFault(error)) throw error
    return { task, code: error.code, message: error.message }
  }
}
