/** Where lines come from and go to: a unix socket, or a port of a virtual machine. */

import type { Socket } from 'node:net'

export interface ByteChannel {
  /** Queued; never waits. What is sent into a closed channel is lost. */
  send(text: string): void
  /** Called for all that comes, and once at the end; set before the first byte is awaited. */
  listen(listener: ChannelListener): void
  /** Ends it at once; idempotent. */
  close(): void
}

export interface ChannelListener {
  readonly onBytes: (bytes: Uint8Array) => void
  /** The other end went away, or the channel failed. */
  readonly onEnd: () => void
}

/** What the other end may leave unread before it is taken for dead. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024

/** Owns the socket. */
export function socketChannel(socket: Socket): ByteChannel {
  return {
    send: (text) => {
      if (socket.destroyed) return
      socket.write(text)
      if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy()
    },
    listen: ({ onBytes, onEnd }) => {
      socket.on('data', (chunk: Buffer) => onBytes(chunk))
      socket.on('error', () => {}) // `close` follows
      socket.once('close', onEnd)
      socket.once('end', () => socket.destroy())
    },
    close: () => { socket.destroy() },
  }
}
