/** A session with SQL Server over loopback: all of it encrypted, one batch at a time. */

import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { Secret } from '../../base/secret.ts'
import { within } from '../limit.ts'
import { meteredSocket, type MeteredSocket } from '../local-socket.ts'
import { MAX_ANSWER_BYTES, type Row, type SqlSession } from '../sql-session.ts'
import { parseAnswer, type Answer, type ServerError } from './tds-answer.ts'
import { MESSAGE, MessageReader, packetsOf } from './tds-packets.ts'
import { agreesToEncrypt, login7, prelogin, sqlBatch } from './tds-requests.ts'
import { TlsInTds } from './tls-in-tds.ts'

export interface SqlServerAddress {
  readonly host: string
  readonly port: number
}

/** A login of the server's own (SQL Server authentication). */
export interface SqlServerLogin {
  readonly user: string
  readonly password: Secret
}

/** `LOGON_FAILED`: 18456; its account is locked: 18486; its password has expired: 18487, 18488. */
const LOGIN_ERRORS = new Set([18_456, 18_486, 18_487, 18_488])
const SEE_ACCOUNT = 'See docs/operations/databases.md for the login that the writer needs.'

/** Faults: `writer-failed`, `writer-timeout`, or the signal's reason; nothing stays open then. */
export async function connectSqlServer(
  address: SqlServerAddress, login: SqlServerLogin, program: string, clock: Clock, limitMs: number,
  signal: AbortSignal,
): Promise<SqlSession> {
  const metered = meteredSocket()
  metered.expect(MAX_ANSWER_BYTES)
  try {
    return await within(clock, limitMs, 'the connection to SQL Server', async () => {
      metered.socket.on('error', () => {}) // who asks is told
      metered.socket.setNoDelay(true).connect(address.port, address.host)
      const conversation = new Conversation(await secured(metered))
      const password = login.password.reveal()
      const { isLoggedIn, error } = await conversation.ask(
        MESSAGE.login, login7({ user: login.user, password, program }))
      if (error !== undefined) throw refused(error)
      if (!isLoggedIn) throw new Fault('writer-failed', 'SQL Server let nobody in')
      return new SqlServerSession(conversation, metered, clock)
    }, signal)
  } catch (error) {
    metered.socket.destroy()
    throw explained(error, 'no session with SQL Server could be begun')
  }
}

/**
 * The socket under TLS. Its certificate is not looked at: the server makes one for itself, and who
 * answers is known by the process that has the port. 7.4 knows TLS up to 1.2.
 */
async function secured(metered: MeteredSocket): Promise<Duplex> {
  const greeting = await greet(metered.socket)
  if (!agreesToEncrypt(greeting)) {
    throw new Fault('writer-failed', 'SQL Server does not encrypt its sessions')
  }
  const tunnel = new TlsInTds(metered.socket)
  const socket = connectTls({
    socket: tunnel, rejectUnauthorized: false, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
  await once(socket, 'secureConnect')
  tunnel.endHandshake()
  return socket
}

/** The one exchange before TLS; the body of the answer. */
function greet(socket: Duplex): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const reader = new MessageReader()
  const receive = (chunk: Uint8Array): void => {
    try {
      const [message] = reader.push(chunk)
      if (message !== undefined) resolve(message.body)
    } catch (error) {
      reject(error)
    }
  }
  const fail = (error?: Error): void => reject(error ?? hungUp())
  socket.on('data', receive).once('error', fail).once('close', fail)
  socket.write(packetsOf(MESSAGE.prelogin, prelogin()))
  return promise.finally(() => socket.off('data', receive).off('error', fail).off('close', fail))
}

/** Question and answer, one at a time. */
class Conversation {
  readonly #stream: Duplex
  readonly #reader = new MessageReader()
  #asked: PromiseWithResolvers<Answer> | undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    stream.on('error', (error) => this.#end(error))
    stream.on('close', () => this.#end(hungUp()))
  }

  get isOpen(): boolean {
    return !this.#stream.destroyed && this.#stream.writable && !this.#stream.readableEnded
  }

  ask(type: number, body: Uint8Array): Promise<Answer> {
    if (!this.isOpen) return Promise.reject(hungUp())
    if (this.#asked !== undefined) {
      return Promise.reject(new Fault('writer-failed', 'the session is busy'))
    }
    this.#asked = Promise.withResolvers()
    this.#stream.write(packetsOf(type, body))
    return this.#asked.promise
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (const { type, body } of this.#reader.push(chunk)) {
        const asked = this.#asked
        if (type !== MESSAGE.answer || asked === undefined) {
          throw new Fault('writer-failed', 'it answered without having been asked')
        }
        this.#asked = undefined
        try {
          asked.resolve(parseAnswer(body))
        } catch (error) {
          asked.reject(error)
          throw error
        }
      }
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #end(error: Error): void {
    this.#asked?.reject(error)
    this.#asked = undefined
    this.destroy()
  }

  destroy(): void {
    this.#stream.destroy()
  }
}

class SqlServerSession implements SqlSession {
  readonly #conversation: Conversation
  readonly #metered: MeteredSocket
  readonly #clock: Clock

  constructor(conversation: Conversation, metered: MeteredSocket, clock: Clock) {
    this.#conversation = conversation
    this.#metered = metered
    this.#clock = clock
  }

  get isOpen(): boolean {
    return this.#conversation.isOpen
  }

  async query(sql: string, limitMs: number, signal?: AbortSignal): Promise<readonly Row[]> {
    this.#metered.expect(MAX_ANSWER_BYTES)
    let answer: Answer
    try {
      answer = await within(this.#clock, limitMs, printable(sql, 60),
        () => this.#conversation.ask(MESSAGE.batch, sqlBatch(sql)), signal)
    } catch (error) {
      this.destroy()
      throw explained(error, 'SQL Server did not answer as asked')
    }
    if (answer.error !== undefined) throw refused(answer.error)
    return answer.rows
  }

  destroy(): void {
    this.#conversation.destroy()
    this.#metered.socket.destroy()
  }

  /** The protocol knows no farewell. */
  [Symbol.asyncDispose](): Promise<void> {
    this.destroy()
    return Promise.resolve()
  }
}

function refused({ number, text }: ServerError): Fault {
  return new Fault('writer-failed', `SQL Server refused: ${text} (${number})`, {
    retry: 'later', advice: LOGIN_ERRORS.has(number) ? SEE_ACCOUNT : 'See what the server says.' })
}

function hungUp(): Fault {
  return new Fault('writer-failed', 'SQL Server closed the connection', { retry: 'later' })
}

function explained(error: unknown, what: string): Error {
  if (isFault(error)) return error
  const why = error instanceof Error ? printable(error.message) : 'unknown error'
  return new Fault('writer-failed', `${what}: ${why}`, { cause: error, retry: 'later' })
}
