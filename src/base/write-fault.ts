/** What a failed write to a file means. */

import { errnoOf } from './errno.ts'
import { Fault } from './fault.ts'
import { printable } from './text.ts'

/** The Fault for a failed write: `no-space` for a full file system or quota, else `io-error`. */
export function writeFault(path: string, cause: unknown): Fault {
  if (['ENOSPC', 'EDQUOT'].includes(errnoOf(cause))) {
    return new Fault('no-space', `the file system of ${printable(path)} is full`, { cause })
  }
  return new Fault('io-error', `${printable(path)} cannot be written`, { cause })
}
