/**
 * The smallest client of QEMU's guest agent, so that the guest's tests do not lean on the code
 * that will be tested with the guest. Protocol: QEMU Guest Agent Protocol Reference.
 */

import { connect } from 'node:net'
import { abortable } from '../../src/base/clock.ts'

export interface GuestAgent extends Disposable {
  /** The value of `return`; rejects with the agent's `desc`. One call at a time. */
  call(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>
}

/** Connects and synchronises; rejects with the signal's reason if nobody answers. */
export async function connectGuestAgent(path: string, signal: AbortSignal): Promise<GuestAgent> {
  const socket = connect(path)
  socket.setEncoding('utf8')
  let received = ''
  let onData = (): void => {}
  let onError = (_error: Error): void => {}
  socket.on('data', (text: string) => {
    received += text
    onData()
  })
  socket.on('error', (error) => onError(error))
  const line = (): Promise<string> => new Promise((resolve, reject) => {
    onError = reject
    onData = () => {
      const end = received.indexOf('\n')
      if (end < 0) return
      const text = received.slice(0, end)
      received = received.slice(end + 1)
      resolve(text)
    }
    onData()
  })
  const call = async (command: string, args?: object): Promise<unknown> => {
    socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    const answer = JSON.parse(await abortable(line(), signal)) as {
      readonly return?: unknown; readonly error?: { readonly desc: string } }
    if (answer.error !== undefined) throw new Error(answer.error.desc)
    return answer.return
  }
  const agent = { call, [Symbol.dispose]: () => { socket.destroy() } }
  try {
    while (await call('guest-sync', { id: 4711 }) !== 4711) { /* what an earlier client left */ }
    return agent
  } catch (error) {
    socket.destroy()
    throw error
  }
}
