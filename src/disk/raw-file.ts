/** Raw images: a file or block device whose bytes are the disk's. */

import { Fault } from '../base/fault.ts'
import type { BlockSink, BlockSource } from './block-source.ts'

/**
 * Opens a raw image file or block device for reading. It has no `extents`: Node cannot ask where
 * the holes are. Faults: `not-found`, `io-error`.
 */
export async function openRawSource(path: string, signal: AbortSignal): Promise<BlockSource> {
  throw new Fault('unsupported', `${path} ${signal.aborted}`)
}

/**
 * Creates a sparse raw image of `sizeBytes`. It is written as `<path>.partial` and gets its name
 * when `finish` has made it durable. Faults: `already-exists`, `no-space`, `io-error`.
 */
export async function createRawSink(
  path: string, sizeBytes: number, signal: AbortSignal): Promise<BlockSink> {
  throw new Fault('unsupported', `${path} ${sizeBytes} ${signal.aborted}`)
}
