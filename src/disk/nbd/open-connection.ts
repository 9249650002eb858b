/** Opens a connection up to its transmission phase. */

import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { NbdConnection } from './connection.ts'
import { negotiate } from './handshake.ts'
import type { NbdLimits } from './limits.ts'
import { SocketReader } from './socket-reader.ts'

/**
 * Connects to the unix socket and negotiates. An abort or fault leaves no connection.
 * Faults: `nbd-refused` (no server there, or it refuses), `nbd-protocol`, `timed-out`.
 */
export async function openNbdConnection(
  target: {
    readonly socketPath: string
    readonly exportName: string
    readonly contexts: readonly string[]
  },
  limits: NbdLimits, clock: Clock, signal: AbortSignal,
): Promise<NbdConnection> {
  const what = `the NBD handshake at ${printable(target.socketPath)}`
  using limit = deadline(clock, limits.handshakeMs, what, signal)
  const reader = new SocketReader(target.socketPath)
  try {
    const talk = negotiate(reader, target.exportName, target.contexts)
    const negotiated = await abortable(talk, limit.signal)
    return new NbdConnection(reader, negotiated, limits, clock)
  } catch (cause) {
    reader.socket.destroy()
    if (isFault(cause)) throw cause
    throw new Fault('nbd-refused', `${what} failed`, {
      cause, retry: 'later',
      advice: 'Check that the NBD server runs and that its socket may be opened.' })
  }
}
