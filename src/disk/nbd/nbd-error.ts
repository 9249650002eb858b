/** What an NBD server answered instead of success, and the Faults it becomes. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { NBD_ENOSPC, NBD_ESHUTDOWN, nbdErrorName } from './protocol.ts'

/** The cause of a Fault that began as an error reply; find it with `nbdErrorOf`. */
export class NbdError extends Error {
  /** The protocol's error value, e.g. 5 for NBD_EIO ("Error values"). */
  readonly errno: number

  constructor(errno: number, text: string) {
    super(text === '' ? nbdErrorName(errno) : `${nbdErrorName(errno)}: ${printable(text)}`)
    this.name = 'NbdError'
    this.errno = errno
  }
}

/** The server's error reply behind `error`, for callers that know what an errno means to them. */
export function nbdErrorOf(error: unknown): NbdError | undefined {
  let current = error
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    if (current instanceof NbdError) return current
    current = current.cause
  }
  return undefined
}

/** The Fault for a request that the server answered with an error. */
export function faultOfReply(what: string, error: NbdError): Fault {
  const message = `the server could not ${what}: ${error.message}`
  switch (error.errno) {
    case NBD_ENOSPC:
      return new Fault('no-space', message, { cause: error })
    case NBD_ESHUTDOWN:
      return new Fault('disk-lost', message, { cause: error, retry: 'later' })
    default:
      return new Fault('disk-unreadable', message, { cause: error })
  }
}

/** The Fault for a server that breaks the protocol; the connection is over. */
export function protocolFault(message: string): Fault {
  return new Fault('nbd-protocol', `the NBD server broke the protocol: ${message}`)
}
