/** A log in memory, as the reader takes it. */

import type { LogBytes } from '../read-event-log.ts'

export function logBytes(bytes: Buffer): LogBytes {
  return {
    sizeBytes: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  }
}
