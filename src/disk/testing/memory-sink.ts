/** A disk in memory that is written. */

import { throwIfAborted } from '../../base/clock.ts'
import { isZero } from '../../base/zero.ts'
import { checkInside, type BlockSink } from '../block-source.ts'

/** Writes into `bytes`, which are zeros; to write a place twice is an Error, and no Fault. */
export function memorySink(bytes: Uint8Array): BlockSink {
  const disk = { name: 'memory disk', sizeBytes: bytes.length }
  return {
    ...disk,
    write: async (offset, written, signal) => {
      checkInside(disk, offset, written.length)
      throwIfAborted(signal)
      if (!isZero(bytes.subarray(offset, offset + written.length))) {
        throw new Error(`bytes at ${offset} came twice`)
      }
      bytes.set(written, offset)
    },
    finish: async (signal) => throwIfAborted(signal),
    [Symbol.asyncDispose]: async () => {},
  }
}
