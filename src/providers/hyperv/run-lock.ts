/**
 * One run for each machine of this host: a run listens at a name that the system lets go when the
 * process dies, however it dies. So a checkpoint of ours that is there while nobody listens is an
 * orphan. A named pipe on Windows; elsewhere, for tests, a name that is no file (unix(7)).
 */

import { once } from 'node:events'
import { createServer } from 'node:net'
import { Fault } from '../../base/fault.ts'

/** Fault: `machine-busy` where another run holds it. */
export async function lockMachine(machineId: string): Promise<AsyncDisposable> {
  const name = `stillpoint-hyperv-${machineId}`
  const server = createServer((socket) => socket.destroy())
  server.listen(process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : `\0${name}`)
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new Fault('machine-busy', 'another backup of this machine is at work on this host', {
      cause, retry: 'later', advice: 'Wait until it has ended.' })
  }
  server.unref()
  return { [Symbol.asyncDispose]: () =>
    new Promise<void>((resolve) => { server.close(() => resolve()) }) }
}
