/** A disk in memory that knows its zeros. */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { isZero } from '../../base/zero.ts'
import { checkInside, type BlockSource } from '../block-source.ts'
import { mergeExtents } from '../extent-stream.ts'
import { between, endOf, type Extent, type Range } from '../extents.ts'

export interface MemoryDiskOptions {
  readonly name?: string
  /** How fine the zeros are told; default 4096. `none` leaves `extents` out. */
  readonly extentBytes?: number | 'none'
}

/** A source over `bytes`, which it does not copy; changing them is a torn disk. */
export function memorySource(bytes: Uint8Array, options: MemoryDiskOptions = {}): BlockSource {
  const disk = { name: options.name ?? 'memory disk', sizeBytes: bytes.length }
  const { extentBytes = 4096 } = options
  let isClosed = false
  const check = (signal: AbortSignal): void => {
    throwIfAborted(signal)
    if (isClosed) throw new Fault('disk-lost', `${disk.name} was closed`)
  }
  async function* blocks(
    range: Range, blockBytes: number, signal: AbortSignal): AsyncGenerator<Extent> {
    checkInside(disk, range.offset, range.length)
    for (let at = range.offset; at < endOf(range);) {
      check(signal)
      const end = Math.min(endOf(range), at + blockBytes - (at % blockBytes))
      yield { ...between(at, end), kind: isZero(bytes.subarray(at, end)) ? 'zero' : 'data' }
      at = end
    }
  }
  return {
    ...disk,
    read: async (offset, length, signal) => {
      checkInside(disk, offset, length)
      check(signal)
      const copy = new Uint8Array(length)
      copy.set(bytes.subarray(offset, offset + length))
      return copy
    },
    ...(extentBytes === 'none' ? {} : {
      extents: (range: Range, signal: AbortSignal) =>
        mergeExtents(blocks(range, extentBytes, signal), range),
    }),
    [Symbol.asyncDispose]: async () => {
      isClosed = true
    },
  }
}
