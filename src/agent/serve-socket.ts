/** The agent on a unix socket: for requestors on the same machine, and for tests. */

import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { Fault } from '../base/fault.ts'
import { socketChannel, type ByteChannel } from '../channel/mod.ts'

/**
 * Listens at `path`, which only its owner may use, until the signal aborts. One requestor at a
 * time: a second one is turned away. Faults: `io-error`.
 */
export function serveSocket(
  path: string, serve: (channel: ByteChannel) => Promise<void>, signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let serving: Promise<void> | undefined
    const server = createServer((socket) => {
      if (serving !== undefined) {
        socket.destroy()
        return
      }
      const end = (): void => { socket.destroy() }
      signal.addEventListener('abort', end, { once: true })
      serving = serve(socketChannel(socket)).finally(() => {
        signal.removeEventListener('abort', end)
        serving = undefined
      })
    })
    server.on('error', (cause) => {
      reject(new Fault('io-error', `the agent cannot listen at ${path}`, { cause }))
    })
    rmSync(path, { force: true }) // of an agent that was killed
    server.listen(path, () => chmodSync(path, 0o600))
    signal.addEventListener('abort', () => {
      server.close()
      void Promise.resolve(serving).then(() => resolve())
    }, { once: true })
  })
}
