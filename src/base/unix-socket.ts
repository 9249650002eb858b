/** Connects to a unix socket; what can be wrong with one is said in a line, with advice. */

import { connect, type Socket } from 'node:net'
import { reasonOf } from './clock.ts'
import { Fault, type FaultCode } from './fault.ts'
import { printable } from './text.ts'

export interface SocketRole {
  /** What it is, for messages: `the QMP socket`. */
  readonly what: string
  readonly code: FaultCode
}

/**
 * A connected socket that belongs to the caller. Connecting to a unix socket ends at once, well or
 * not; the signal is looked at all the same. Faults: `role.code`, or the signal's reason.
 */
export function connectUnix(path: string, role: SocketRole, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    const socket = connect({ path })
    const onAbort = (): void => {
      socket.destroy()
      reject(reasonOf(signal))
    }
    const onError = (cause: NodeJS.ErrnoException): void => {
      signal.removeEventListener('abort', onAbort)
      reject(faultOf(path, role, cause))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', onError)
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      resolve(socket)
    })
  })
}

function faultOf(path: string, role: SocketRole, cause: NodeJS.ErrnoException): Fault {
  const where = `${role.what} ${printable(path)}`
  const fault = (text: string, advice: string): Fault =>
    new Fault(role.code, text, { cause, advice, retry: 'later' })
  switch (cause.code) {
    case 'ENOENT':
      return fault(`${where} does not exist`,
        'Check the path, and that the machine is started with this socket.')
    case 'EACCES':
    case 'EPERM':
      return fault(`this user may not open ${where}`,
        'Run as root, or as the user that runs the machine.')
    case 'ECONNREFUSED':
      return fault(`nobody listens on ${where}`,
        'Check that the machine runs, and that the path is that of its socket.')
    case 'ENOTSOCK':
      return fault(`${where} is not a socket`, 'Check the path.')
    case 'EAGAIN':
      return fault(`${where} is held by another client and its queue is full`,
        'End the other client, or give the machine a second socket.')
    default:
      return fault(`${where} cannot be opened (${printable(cause.code ?? cause.message)})`,
        'Check the path and that the machine runs.')
  }
}
