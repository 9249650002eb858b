/** One connection to a Redis server; replies come in the order of the commands. */

import { connect, type Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Secret } from '../../base/secret.ts'
import { printable } from '../../base/text.ts'
import { within } from '../limit.ts'
import { encodeCommand, RespReader, type Reply } from './resp.ts'

export type RedisAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }

/** Whom to be; without a user, the server's `default` one with `requirepass`. */
export interface RedisAccount {
  readonly user?: string
  readonly password: Secret
}

interface Asked {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

export class RedisSession {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #reader = new RespReader()
  readonly #asked: Asked[] = []
  #ended: Error | undefined

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    socket.on('error', (cause) => this.#end(
      new Fault('writer-failed', 'the connection to Redis failed', { cause, retry: 'later' })))
    socket.on('close', () => this.#end(
      new Fault('writer-failed', 'Redis closed the connection', { retry: 'later' })))
  }

  /** Faults: `writer-failed`, `writer-timeout`, or the signal's reason; nothing stays open then. */
  static async connect(
    address: RedisAddress, account: RedisAccount | undefined, clock: Clock, limitMs: number,
    signal: AbortSignal): Promise<RedisSession> {
    const socket = connect({ ...address })
    const session = new RedisSession(socket, clock)
    try {
      await within(clock, limitMs, 'the connection to Redis', async () => {
        if (account !== undefined) {
          const { user, password } = account
          const login = user === undefined ? ['AUTH'] : ['AUTH', user]
          await session.send(...login, password.reveal())
        }
        const reply = await session.send('PING')
        if (reply !== 'PONG') throw new Fault('writer-failed', 'Redis did not answer a PING')
      }, signal)
      return session
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  /** False once the connection has ended, whoever ended it. */
  get isOpen(): boolean {
    return this.#ended === undefined
  }

  /**
   * Sends a command; resolves with its reply, however long that takes. Fault: `writer-failed` if
   * the server refuses or the connection ends.
   */
  async send(...args: readonly string[]): Promise<Reply> {
    const reply = await new Promise<Reply>((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended)
      this.#asked.push({ resolve, reject })
      this.#socket.write(encodeCommand(args))
    })
    if (typeof reply === 'object' && reply !== null && 'error' in reply) throw refusal(args, reply)
    return reply
  }

  /** As `send`, within a limit; past it (`writer-timeout`) or at an abort it ends. */
  async ask(
    args: readonly string[], limitMs: number, signal?: AbortSignal): Promise<Reply> {
    let isAnswered = false
    const asked = this.send(...args)
    asked.then(() => { isAnswered = true }, () => { isAnswered = true })
    try {
      const what = `${args[0]} of Redis`
      return await within(this.#clock, limitMs, what, () => asked, signal)
    } catch (error) {
      if (!isAnswered) this.destroy() // what comes later would be taken for another's answer
      throw error
    }
  }

  /** Ends the connection at once; idempotent. */
  destroy(): void {
    this.#end(new Fault('writer-failed', 'the connection to Redis was ended'))
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended !== undefined) return
    try {
      this.#reader.push(chunk)
      for (;;) {
        const reply = this.#reader.take()
        if (reply === undefined) return
        const asked = this.#asked.shift()
        if (asked === undefined) {
          throw new Fault('writer-failed', 'Redis answered without having been asked')
        }
        asked.resolve(reply)
      }
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #end(why: Error): void {
    if (this.#ended !== undefined) return
    this.#ended = why
    this.#socket.destroy()
    for (const { reject } of this.#asked.splice(0)) reject(why)
  }
}

function refusal(args: readonly string[], reply: { readonly error: string }): Fault {
  const said = printable(reply.error, 200)
  const command = args[0] ?? ''
  const advice = /^(NOAUTH|WRONGPASS|NOPERM)/.test(reply.error)
    ? 'Give the agent a user of the server with the rights in docs/operations/databases.md.'
    : 'See what the server says.'
  return new Fault('writer-failed', `Redis refused ${command}: ${said}`, { advice })
}
