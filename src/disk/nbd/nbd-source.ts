/** A disk served over NBD, read by our own client. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { BlockSource } from '../block-source.ts'
import type { Range } from '../extents.ts'
import type { NbdLimits } from './limits.ts'

export interface NbdTarget {
  /** The server's unix socket. TCP is not offered before TLS is. */
  readonly socketPath: string
  /** Empty for the server's default export. */
  readonly exportName: string
  /** Metadata contexts that must be there besides `base:allocation`, which is always asked for. */
  readonly contexts?: readonly string[]
  /** Connections to use if the server allows several (`CAN_MULTI_CONN`); default 1. */
  readonly connections?: number
  readonly limits?: Partial<NbdLimits>
}

/** `extents` is there if the server offers `base:allocation`. */
export interface NbdSource extends BlockSource {
  /**
   * The dirty ranges of a bitmap context (`qemu:dirty-bitmap:NAME`, asked for at connect) inside
   * `range`: ordered, neither overlapping nor touching.
   */
  dirtyExtents(context: string, range: Range, signal: AbortSignal): AsyncIterable<Range>
}

export async function connectNbd(
  target: NbdTarget, clock: Clock, signal: AbortSignal): Promise<NbdSource> {
  throw new Fault('unsupported', `NBD is not there yet: ${target.socketPath} ${clock.nowMs()} ${signal.aborted}`)
}
