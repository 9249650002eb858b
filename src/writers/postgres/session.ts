/** A connection to a PostgreSQL server over its unix socket, by the library `pg`. */

import type { Client, DatabaseError } from 'pg'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { within } from '../limit.ts'
import { asAccount, meteredSocket, type MeteredSocket } from '../local-socket.ts'
import { MAX_ANSWER_BYTES, type Row, type SqlSession } from '../sql-session.ts'

export interface PostgresAddress {
  /** The folder of the socket. */
  readonly socketFolder: string
  readonly port: number
  readonly role: string
  /** The account of this system to connect as: what `peer` authentication is told. */
  readonly uid: number
}

/** A server that is asked politely to end a connection, and does not. */
const CLOSE_LIMIT_MS = 1000

/** Faults: `writer-failed`, `writer-timeout`. Gives no password: only `peer` and `trust` let in. */
export async function connectPostgres(
  address: PostgresAddress, clock: Clock, limitMs: number, signal: AbortSignal,
): Promise<SqlSession> {
  // Loaded where there is such a server: most commands and machines have none.
  const { default: pg } = await import('pg')
  const metered = meteredSocket()
  const client = new pg.Client({
    host: address.socketFolder, port: address.port, user: address.role, database: 'postgres',
    ssl: false, application_name: 'stillpoint', stream: () => metered.socket,
    password: () => Promise.reject(new Error('it asks for a password, and there is none')),
    // Nobody's function may stand in for a system's one, whatever the database is set to.
    options: '-c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0',
    types: { getTypeParser: () => (value: unknown) => value },
  })
  const session = new PostgresSession(client, metered, clock, pg.DatabaseError)
  metered.expect(MAX_ANSWER_BYTES)
  try {
    await within(clock, limitMs, 'the connection to PostgreSQL', () =>
      // The library begins to connect before it returns, so this sets the account of `peer`.
      asAccount(address.uid, () => client.connect()), signal)
    return session
  } catch (error) {
    session.destroy()
    const { socketFolder, port, role } = address
    throw explained(error, `PostgreSQL at ${socketFolder}, port ${port}, did not let ${role} in`,
      'See docs/operations/databases.md for the account and the line of pg_hba.conf it needs.')
  }
}

class PostgresSession implements SqlSession {
  readonly #client: Client
  readonly #refusal: typeof DatabaseError
  readonly #metered: MeteredSocket
  readonly #clock: Clock

  constructor(
    client: Client, metered: MeteredSocket, clock: Clock, refusal: typeof DatabaseError) {
    this.#client = client
    this.#refusal = refusal
    this.#metered = metered
    this.#clock = clock
    client.on('error', () => this.destroy()) // the next question says so
  }

  get isOpen(): boolean {
    return !this.#metered.socket.destroyed && this.#metered.socket.readyState === 'open'
  }

  async query(sql: string, limitMs: number, signal?: AbortSignal): Promise<readonly Row[]> {
    if (!this.isOpen) throw new Fault('writer-failed', 'the session with PostgreSQL has ended')
    this.#metered.expect(MAX_ANSWER_BYTES)
    try {
      const { rows } = await within(this.#clock, limitMs, 'an answer of PostgreSQL', () =>
        this.#client.query<Row>(sql), signal)
      return rows
    } catch (error) {
      if (!(error instanceof this.#refusal)) this.destroy()
      throw explained(error, 'PostgreSQL did not answer as asked')
    }
  }

  destroy(): void {
    this.#metered.socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await within(this.#clock, CLOSE_LIMIT_MS, 'the end of the session', () => this.#client.end())
    } catch {
      // It is ended below, whatever the server does.
    }
    this.destroy()
  }
}

/** The error of the library or the server as a fault that says what was asked. */
function explained(error: unknown, what: string, advice?: string): Error {
  if (isFault(error)) return error
  const why = error instanceof Error ? printable(error.message) : 'unknown error'
  return new Fault('writer-failed', `${what}: ${why}`, {
    cause: error, retry: 'later', ...(advice === undefined ? {} : { advice }),
  })
}
