/** Where a disk's bytes come from and go to. Offsets and lengths are bytes; ranges half-open. */

import { Fault } from '../base/fault.ts'
import type { Extent, Range } from './extents.ts'

/**
 * A disk that can be read at any offset while it does not change: a captured instant, an image
 * file, a restore point. Reads may run at once; how many help is the implementation's affair.
 * An abort leaves nothing behind; disposing ends reads under way with `disk-lost`.
 */
export interface BlockSource extends AsyncDisposable {
  /** For messages: what this is and where. */
  readonly name: string
  readonly sizeBytes: number

  /**
   * Exactly `length` bytes from `offset`, in a buffer of its own that belongs to the caller
   * (its ArrayBuffer holds nothing else, so it can be transferred to a worker). `memory` of just
   * that length may hold anything: a source that can fills it and hands it back, instead of memory
   * that the kernel has to find first. Where the call fails the source may still write to it.
   * Faults: `out-of-range`, `disk-unreadable`, `disk-lost`, `nbd-protocol`, `snapshot-broken`.
   */
  read(
    offset: number, length: number, signal: AbortSignal, memory?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>>

  /**
   * What `range` holds: `zero` runs certainly read as zeros, `data` runs must be read. Ordered,
   * without gap or overlap, exactly covering `range`, neighbours of different kinds. A source
   * that cannot tell leaves the method out: read everything.
   */
  extents?(range: Range, signal: AbortSignal): AsyncIterable<Extent>

  /**
   * The parts of `range` that may differ from the disk at an earlier instant, which whoever opened
   * the source knows: ordered, neither overlapping nor touching; all else is certainly the same.
   * Left out where there is no such instant.
   */
  changes?(range: Range, signal: AbortSignal): AsyncIterable<Range>
}

/** The file that a sink writes to, for threads that do so themselves. */
export interface SinkFile {
  /** Open for writing until the sink is disposed. */
  readonly fd: number
  /** For faults. */
  readonly path: string
  /** Blocks of zeros of this length, aligned on the disk, may be left out. */
  readonly holeBytes: number
}

/**
 * A disk to be written, of fixed size, all zeros before the first write. Each byte is written at
 * most once, so that a sink may leave out zeros. Disposing before `finish` has resolved removes
 * what was written: nothing half-written is left that looks complete.
 */
export interface BlockSink extends AsyncDisposable {
  readonly name: string
  readonly sizeBytes: number
  /**
   * What `write` is given may instead be written here at the same offset, by whoever does so no
   * more once the sink is finished or disposed. Left out where bytes go another way.
   */
  readonly file?: SinkFile

  /**
   * Writes all of `bytes` at `offset`; the buffer is the caller's again when it resolves. Writes
   * may run at once. Faults: `out-of-range`, `no-space`, `io-error`, `disk-lost`.
   */
  write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>

  /** Makes everything written durable and the file as long as the disk. Call it once, last. */
  finish(signal: AbortSignal): Promise<void>
}

/** Faults with `out-of-range` unless the range is made of safe integers and inside the disk. */
export function checkInside(
  disk: Pick<BlockSource, 'name' | 'sizeBytes'>, offset: number, length: number): void {
  const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) &&
    offset >= 0 && length >= 0 && length <= disk.sizeBytes - offset
  if (inside) return
  throw new Fault(
    'out-of-range',
    `${length} bytes at ${offset} lie outside ${disk.name}, which has ${disk.sizeBytes} bytes`,
  )
}

/** Where a source reads `length` bytes to: `memory` if it fits, which may hold anything. */
export function bufferFor(
  length: number, memory: ArrayBuffer | undefined): Uint8Array<ArrayBuffer> {
  return memory?.byteLength === length ? new Uint8Array(memory) : new Uint8Array(length)
}
