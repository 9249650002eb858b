/** Stands between a client and a fake, and damages what the fake answers. */

import { connect, createServer, type Socket } from 'node:net'

/** What becomes of one answer: the bytes sent in its place, and whether the connection ends. */
export interface Relayed {
  readonly send: readonly Uint8Array[]
  readonly hangUp?: boolean
}

/** Called with each line of the fake, its end included, and its number over all connections. */
export type Meddle = (line: Buffer, number: number) => Relayed

/**
 * Called with what a client wrote at once; `pass` is what the fake gets of it, default all, and
 * `say` what is answered in its place.
 */
export type Intercept = (
  request: string) => { readonly pass?: string; readonly say?: Uint8Array } | undefined

/** Listens at `path` and serves what listens at `behind`. */
export async function startRelay(
  path: string, behind: string, meddle: Meddle, intercept: Intercept = () => undefined,
): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((client) => {
    const fake = connect({ path: behind })
    for (const socket of [client, fake]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        fake.destroy()
      })
    }
    client.on('data', (request: Buffer) => {
      const { pass, say } = intercept(request.toString('latin1')) ?? { pass: undefined }
      if (say !== undefined) client.write(say)
      else if (pass === undefined) fake.write(request)
      else fake.write(pass, 'latin1')
    })
    let rest = Buffer.alloc(0)
    fake.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes])
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        const { send, hangUp = false } = meddle(Buffer.from(rest.subarray(0, end + 1)), count++)
        rest = rest.subarray(end + 1)
        for (const part of send) if (!client.destroyed) client.write(part)
        if (hangUp) client.destroySoon()
      }
    })
  })
  await new Promise<void>((resolve) => { server.listen(path, resolve) })
  return {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
