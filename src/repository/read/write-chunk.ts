/** Writes a chunk where it belongs, within a thread that may wait for the file. */

import { writeSync } from 'node:fs'
import { writeFault } from '../../base/write-fault.ts'
import { nonZeroRuns } from '../../base/zero.ts'
import type { SinkFile } from '../../disk/mod.ts'

/** All of `bytes` at `offset`, but for blocks of zeros. Faults: `no-space`, `io-error`. */
export function writeChunk(
  { fd, path, holeBytes }: SinkFile, offset: number, bytes: Uint8Array): void {
  for (const run of nonZeroRuns(bytes, offset, holeBytes)) {
    const end = run.offset + run.length
    for (let at = run.offset; at < end;) {
      try {
        at += writeSync(fd, bytes, at, end - at, offset + at)
      } catch (cause) {
        throw writeFault(path, cause)
      }
    }
  }
}
