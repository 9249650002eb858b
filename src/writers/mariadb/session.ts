/** A connection to a MariaDB or MySQL server over its unix socket, by the library `mysql2`. */

import type { Connection, QueryError } from 'mysql2'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { within } from '../limit.ts'
import { asAccount, meteredSocket, type MeteredSocket } from '../local-socket.ts'
import { MAX_ANSWER_BYTES, type Row, type SqlSession } from '../sql-session.ts'

export interface MariadbAddress {
  readonly socketPath: string
  readonly user: string
  /** The account of this system to connect as: what `unix_socket` authentication is told. */
  readonly uid: number
}

const CLOSE_LIMIT_MS = 1000
/** A lock, or a statement, that waited longer than the session allows: 1205, 1969, 3024. */
const SERVER_LIMITS = new Set([1205, 1969, 3024])

/** Faults: `writer-failed`, `writer-timeout`. Gives no password. */
export async function connectMariadb(
  address: MariadbAddress, clock: Clock, limitMs: number, signal: AbortSignal,
): Promise<SqlSession> {
  // Loaded where there is such a server: most commands and machines have none.
  const { createConnection } = await import('mysql2')
  const metered = meteredSocket()
  metered.expect(MAX_ANSWER_BYTES)
  const { socketPath, user } = address
  try {
    asAccount(address.uid, () => metered.socket.connect(socketPath))
    const connection = createConnection({
      stream: metered.socket, user, connectTimeout: 0, // the limit is ours
      // A server chooses the names of columns, and the library would make code of them.
      disableEval: true,
      flags: ['-LOCAL_FILES'],
      typeCast: (field) => field.string(),
    })
    const session = new MariadbSession(connection, metered, clock)
    await within(clock, limitMs, 'the connection to the server', () =>
      new Promise<void>((resolve, reject) => {
        metered.socket.once('close', () => reject(new Error('it hung up')))
        connection.connect((error) => error === null ? resolve() : reject(error))
      }), signal)
    return session
  } catch (error) {
    metered.socket.destroy()
    throw explained(error, `the server at ${socketPath} did not let ${user} in`,
      'See docs/operations/databases.md for the account that the writer needs.')
  }
}

class MariadbSession implements SqlSession {
  readonly #connection: Connection
  readonly #metered: MeteredSocket
  readonly #clock: Clock
  #pending: ((error: Error) => void) | undefined

  constructor(connection: Connection, metered: MeteredSocket, clock: Clock) {
    this.#connection = connection
    this.#metered = metered
    this.#clock = clock
    connection.on('error', () => this.destroy()) // the next question says so
    // Packets out of order: the library would go on, and print a line for each.
    connection.on('warn', () => this.destroy())
    metered.socket.on('error', () => {})
    metered.socket.on('close', () => this.#pending?.(new Error('the connection ended')))
  }

  get isOpen(): boolean {
    return !this.#metered.socket.destroyed && this.#metered.socket.readyState === 'open'
  }

  async query(sql: string, limitMs: number, signal?: AbortSignal): Promise<readonly Row[]> {
    if (!this.isOpen) throw new Fault('writer-failed', 'the session with the server has ended')
    this.#metered.expect(MAX_ANSWER_BYTES)
    try {
      return await within(this.#clock, limitMs, printable(sql, 60), () => this.#ask(sql), signal)
    } catch (error) {
      if (!isRefusal(error)) this.destroy()
      if (isRefusal(error) && SERVER_LIMITS.has(error.errno ?? 0)) {
        throw new Fault('writer-timeout', `the server gave up: ${printable(error.message)}`, {
          cause: error, retry: 'later',
          advice: 'Find the statement that runs long; SHOW PROCESSLIST names it.' })
      }
      throw explained(error, 'the server did not answer as asked')
    }
  }

  #ask(sql: string): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      this.#pending = reject // the library does not always tell of a connection that ends
      this.#connection.query(sql, (error, rows) => {
        if (error !== null) reject(error)
        // A statement without rows answers a header.
        else resolve(Array.isArray(rows) ? rows as readonly Row[] : [])
      })
    })
  }

  destroy(): void {
    this.#metered.socket.destroy()
    this.#connection.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await within(this.#clock, CLOSE_LIMIT_MS, 'the end of the session', () =>
        new Promise<void>((resolve) => {
          if (this.isOpen) this.#connection.end(() => resolve())
          else resolve()
        }))
    } catch {
      // It is ended below, whatever the server does.
    }
    this.destroy()
  }
}

/** The server said no and the session lives on. */
function isRefusal(error: unknown): error is QueryError {
  const isFatal = error instanceof Error && 'fatal' in error && error.fatal === true
  return error instanceof Error && 'sqlState' in error && !isFatal
}

function explained(error: unknown, what: string, advice?: string): Error {
  if (isFault(error)) return error
  const why = error instanceof Error ? printable(error.message) : 'unknown error'
  return new Fault('writer-failed', `${what}: ${why}`, {
    cause: error, retry: 'later', ...(advice === undefined ? {} : { advice }),
  })
}
