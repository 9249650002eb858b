/** zstd with a bound on what comes out (restic design, "Compression"). */

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { Fault } from '../../base/fault.ts'

/** The level of restic's `auto`. Node takes -1 for "not set", so that level cannot be had. */
const DEFAULT_ZSTD_LEVEL = 3

/** Node takes as much for each call, and the collector comes the sooner. */
const LEAST_OUTPUT_BYTES = 64 * 1024
/** Where the length is not known, it comes in pieces of this length at most. */
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024

/** Below it no window is refused: the default of the zstd tools, 128 MiB. */
const MIN_WINDOW_LOG_LIMIT = 27

/** One frame that carries its content's size. `windowLog` bounds how far back it looks. */
export function zstdCompress(
  plaintext: Uint8Array, level = DEFAULT_ZSTD_LEVEL, windowLog?: number,
): Uint8Array<ArrayBuffer> {
  return zstdCompressSync(plaintext, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      ...windowLog === undefined ? {} : { [constants.ZSTD_c_windowLog]: windowLog },
    },
    // One piece of output for nearly all input, instead of many of 16 KiB.
    chunkSize: Math.max(64, plaintext.length + (plaintext.length >>> 8) + 64),
    pledgedSrcSize: plaintext.length,
  })
}

/**
 * At most `maxBytes` of plaintext; never takes much more memory than that, whatever the frame
 * claims. `likelyBytes` is how long it is as far as is known: then it comes in one piece, without
 * leaving any to the collector. Fault: `repository-damaged`, naming `what`.
 */
export function zstdDecompress(
  compressed: Uint8Array, maxBytes: number, what: string,
  likelyBytes = Math.min(
    maxBytes, MOST_OUTPUT_BYTES, Math.max(LEAST_OUTPUT_BYTES, compressed.length * 16)),
): Uint8Array<ArrayBuffer> {
  const windowLog = Math.min(31, Math.max(MIN_WINDOW_LOG_LIMIT, Math.ceil(Math.log2(maxBytes + 1))))
  try {
    return zstdDecompressSync(compressed, {
      maxOutputLength: Math.max(1, maxBytes),
      params: { [constants.ZSTD_d_windowLogMax]: windowLog },
      // With no room left over Node asks for more, and copies all of it.
      chunkSize: likelyBytes + 64,
    })
  } catch (cause) {
    throw new Fault('repository-damaged', `${what} cannot be decompressed`, { cause })
  }
}
