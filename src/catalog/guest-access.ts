/** Programs and files inside a machine, through whatever the platform has there. */

import type { GuestPrograms } from '../consistency/mod.ts'

/** One at a time, and nobody else meanwhile; dispose it soon. */
export interface GuestAccess extends GuestPrograms, AsyncDisposable {
  /** What answers in the guest: `qemu-ga 7.2.22`. Foreign text. */
  readonly agent: string
  /**
   * What the guest does not allow of what the other methods need, as its agent calls it; empty:
   * they can be called.
   */
  readonly forbidden: readonly string[]
  /**
   * Creates the file, or empties it, and writes all of `content` into it. Tells the bytes written
   * so far. What an abort leaves behind: part of the file. Faults: `agent-*`, `timed-out`.
   */
  write(
    path: string, content: AsyncIterable<Uint8Array>, onWritten: (bytes: number) => void,
    signal: AbortSignal): Promise<void>
}
