/** Connections to servers on this machine: as which account, and how much they may say. */

import { Socket } from 'node:net'
import { Fault } from '../base/fault.ts'

/**
 * Runs `connect`, which must be synchronous, as the account `uid`: a server that asks the kernel
 * who is at the other end of a unix socket (`peer`, `unix_socket`) is told that account. Only root
 * may. All threads of the process change for these microseconds; nothing else of ours runs in them
 * but what the thread pool has under way.
 */
export function asAccount<T>(uid: number, connect: () => T): T {
  const before = process.geteuid?.()
  if (before === undefined || before === uid) return connect()
  try {
    process.seteuid?.(uid)
  } catch (cause) {
    throw new Fault('writer-failed', `the agent may not connect as the user ${uid}`, {
      cause, advice: 'Run the agent as root, or name an account that it may use as it is.',
    })
  }
  try {
    return connect()
  } finally {
    process.seteuid?.(before)
  }
}

/** A socket that is destroyed when the other end says more than was reckoned with. */
export interface MeteredSocket {
  readonly socket: Socket
  /** Begins the count anew. */
  expect(maxBytes: number): void
}

export function meteredSocket(): MeteredSocket {
  const socket = new Socket()
  let left = 0
  socket.on('data', (chunk: Uint8Array) => {
    left -= chunk.length
    if (left < 0) socket.destroy(new Error('it answered more than it was asked'))
  })
  return { socket, expect: (maxBytes) => { left = maxBytes } }
}
