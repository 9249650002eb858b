/** A part of a disk that is being looked at; nothing outside of it is ever read. */

import type { BlockSource } from '../block-source.ts'

export interface Window {
  readonly length: number
  /** The bytes, or nothing where they are not wholly inside: what points there is damaged. */
  read(offset: number, length: number): Promise<Buffer | undefined>
}

/** More than any recogniser wants at once; a field that asks for more is damaged. */
const MAX_READ_BYTES = 1024 * 1024

export function windowOf(
  source: BlockSource, offset: number, length: number, signal: AbortSignal): Window {
  return {
    length,
    read: async (at, count) => {
      const isInside = Number.isSafeInteger(at) && at >= 0 && count > 0 &&
        count <= MAX_READ_BYTES && count <= length - at
      if (!isInside) return undefined
      const bytes = await source.read(offset + at, count, signal)
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    },
  }
}
