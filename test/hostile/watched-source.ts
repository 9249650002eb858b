/** A damaged image as a disk that notes what is read of it, and bounds that. */

import assert from 'node:assert/strict'
import type { BlockSource, Range } from '../../src/disk/mod.ts'
import type { SparseImage } from './sparse-image.ts'

export interface ReadBounds {
  readonly bytes: number
  readonly reads?: number
}

/** Adds to `ranges`. A read outside is a RangeError, which nothing expects: it ends the test. */
export function watchedSource(
  image: SparseImage, ranges: Range[], most: ReadBounds): BlockSource {
  let readBytes = 0
  return {
    name: 'damaged', sizeBytes: image.sizeBytes,
    read: async (offset, length) => {
      ranges.push({ offset, length })
      readBytes += length
      assert.ok(ranges.length <= (most.reads ?? Infinity) && readBytes <= most.bytes,
        `${ranges.length} reads of ${readBytes} bytes`)
      return new Uint8Array(image.bytes(offset, length))
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
