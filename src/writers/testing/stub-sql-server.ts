/**
 * A stub of SQL Server: speaks enough of TDS 7.4 and of its snapshot statements for the writer, as
 * they are documented. It is no proof of what a real server does (docs/unproven.md).
 */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { systemClock } from '../../base/clock.ts'
import { MESSAGE, MessageReader, packetsOf } from '../sqlserver/tds-packets.ts'
import { TlsInTds } from '../sqlserver/tls-in-tds.ts'
import { FakeHost } from './fake-process.ts'
import { done, failure, greeting, loggedIn, readLogin, table, textOf } from './stub-tds.ts'

export const STUB_LOGIN = { user: 'stillpoint', password: 'pass\'wörd]' } as const
const PID = 4701
const SUSPEND = new RegExp('^alter server configuration set suspend_for_snapshot_backup = on ' +
  '\\(group = \\((.*)\\), mode = copy_only\\)$')
/** How long it seems to have been suspended when it says so: it has written out what it had. */
const FLUSH_MS = 10_000

type StubRows = readonly Readonly<Record<string, string | null>>[]

export type StubReply =
  | { readonly rows: StubRows }
  | { readonly error: string }
  | { readonly bytes: Uint8Array }
  | 'silence' | 'hang up'

export interface StubSession {
  readonly id: number
  readonly program: string
  isWaiting: boolean
  readonly stream: Duplex
}

interface Suspension {
  readonly session: StubSession
  readonly names: readonly string[]
  sinceMs: number
}

export class StubSqlServer implements AsyncDisposable {
  readonly host: FakeHost
  readonly sessions = new Map<number, StubSession>()
  /** Name to state, as in `sys.databases`. */
  readonly databases = new Map([['shop', 'ONLINE'], ['a ] and \' b', 'ONLINE'], ['old', 'OFFLINE']])
  /** What it answers instead; undefined: as ever. */
  override: (sql: string, session: StubSession) => StubReply | undefined = () => undefined
  /** The byte in its greeting: 1 encrypts all. */
  encryption = 1
  version = '16.0.4165.4'
  /** Every batch, in the order they came. */
  readonly asked: string[] = []
  #suspension: Suspension | undefined
  #nextId = 51
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(host: FakeHost) {
    this.host = host
    this.#server = createServer((socket) => this.#accept(socket))
  }

  static async start(): Promise<StubSqlServer> {
    const host = await FakeHost.make()
    const stub = new StubSqlServer(host)
    await new Promise<void>((resolve) => { stub.#server.listen(0, '127.0.0.1', resolve) })
    const cwd = stub.dataFolder
    await host.add({ pid: PID - 1, program: 'sqlservr', cwd })
    await host.add({ pid: PID, parent: PID - 1, program: 'sqlservr', cwd })
    for (const pid of [PID - 1, PID, 'self']) {
      await mkdir(`${host.procRoot}/${pid}/ns`)
      await symlink('net:[4026531840]', `${host.procRoot}/${pid}/ns/net`)
      if (pid !== 'self') await mkdir(`${host.procRoot}/${pid}/fd`)
    }
    await mkdir(`${host.procRoot}/${PID}/net`)
    await symlink('socket:[99]', `${host.procRoot}/${PID}/fd/3`)
    const port = stub.port.toString(16).toUpperCase().padStart(4, '0')
    await writeFile(`${host.procRoot}/${PID}/net/tcp`, 'head\n' +
      `0: 0100007F:${port} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 99 1\n`)
    return stub
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' ? address?.port ?? 0 : 0
  }

  get dataFolder(): string {
    return `${this.host.path}/mssql/data`
  }

  get isHeld(): boolean {
    return this.#suspension !== undefined
  }

  /** As somebody else does: another administrator, a restart. */
  resume(): void {
    this.#suspension = undefined
  }

  /** Resumes, lets something commit, and suspends again behind the session's back. */
  resumeAndSuspend(): void {
    if (this.#suspension !== undefined) this.#suspension.sinceMs = systemClock.monotonicMs()
  }

  /** Ends every connection at once, as the death of the server does. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
    const reader = new MessageReader()
    const receive = (chunk: Uint8Array): void => {
      const [message] = reader.push(chunk)
      if (message?.type !== MESSAGE.prelogin) return
      socket.off('data', receive)
      socket.write(packetsOf(MESSAGE.answer, greeting(this.encryption)))
      const secured = new TLSSocket(
        new TlsInTds(socket), { isServer: true, ...certificate() })
      secured.on('error', () => {})
      this.#converse(secured)
    }
    socket.on('data', receive)
  }

  #converse(stream: Duplex): void {
    const reader = new MessageReader()
    let session: StubSession | undefined
    stream.on('data', (chunk: Uint8Array) => {
      for (const { type, body } of reader.push(chunk)) {
        if (session === undefined && type === MESSAGE.login) {
          session = this.#logIn(stream, body)
        } else if (session !== undefined) this.#reply(session, textOf(body))
      }
    })
    stream.on('close', () => {
      if (session !== undefined) this.#end(session)
    })
  }

  #logIn(stream: Duplex, body: Uint8Array): StubSession | undefined {
    const { user, password, program } = readLogin(body)
    if (user !== STUB_LOGIN.user || password !== STUB_LOGIN.password) {
      stream.end(packetsOf(MESSAGE.answer, failure(18_456, `Login failed for user '${user}'.`)))
      return undefined
    }
    const session = { id: this.#nextId++, program, isWaiting: false, stream }
    this.sessions.set(session.id, session)
    stream.write(packetsOf(MESSAGE.answer, loggedIn()))
    return session
  }

  /** What a session holds ends with it. */
  #end(session: StubSession): void {
    this.sessions.delete(session.id)
    if (this.#suspension?.session === session) this.#suspension = undefined
  }

  #reply(session: StubSession, sql: string): void {
    this.asked.push(sql)
    const reply = this.override(sql, session) ?? this.#run(session, sql)
    if (reply === 'silence') return
    if (reply === 'hang up') {
      session.stream.destroy()
      return
    }
    const bytes = 'bytes' in reply ? reply.bytes
      : 'error' in reply ? failure(3_000, reply.error)
        : reply.rows.length === 0 ? done() : table(reply.rows)
    session.stream.write(packetsOf(MESSAGE.answer, bytes))
  }

  #run(session: StubSession, sql: string): StubReply {
    const rows = this.#rows(session, sql)
    if (rows !== undefined) return { rows }
    const [, names] = SUSPEND.exec(sql) ?? []
    if (names !== undefined) return this.#suspend(session, names)
    if (sql === 'alter server configuration set suspend_for_snapshot_backup = off') {
      return this.#resumeFrom(session)
    }
    const [, path] =
      /^backup group .* to disk = N'(.*)' with metadata_only, format$/.exec(sql) ?? []
    if (path !== undefined) {
      const reply = this.#resumeFrom(session)
      if (typeof reply === 'object' && 'rows' in reply) {
        writeFileSync(path.replaceAll('\'\'', '\''), 'metadata')
      }
      return reply
    }
    const [, delay, rest = ''] = /^waitfor delay '([\d:.]+)'; (.*)$/.exec(sql) ?? []
    if (delay !== undefined) {
      session.isWaiting = true
      systemClock.after(Date.parse(`1970-01-01T${delay}Z`), () => {
        if (this.sessions.has(session.id)) this.#kill(rest)
      })
      return 'silence'
    }
    return this.#kill(sql) ? { rows: [] } : { error: `Incorrect syntax near '${sql}'.` }
  }

  #rows(session: StubSession, sql: string): StubRows | undefined {
    const suspension = this.#suspension
    const [, id, program] = /session_id = (\d+)(?: and program_name = N'(.*)')?/.exec(sql) ?? []
    const there = this.sessions.get(Number(id))
    if (sql.includes('ProductVersion')) return [{ version: this.version }]
    if (sql.includes('@@spid')) return [{ id: String(session.id) }]
    if (sql.includes('sys.master_files')) {
      return [{ path: `${this.dataFolder}/master.mdf`, id: '1' },
        { path: `${this.dataFolder}/shop.mdf`, id: '5' }]
    }
    if (sql.includes('sys.databases')) {
      return [...this.databases].map(([name, state]) => ({ name, state }))
    }
    if (sql.includes('sys.dm_server_suspend_status')) {
      return suspension?.names.map((name) => ({
        name, session: String(suspension.session.id), frozen: '1', cleared: '0',
        ms: String(Math.round(systemClock.monotonicMs() - suspension.sinceMs)) })) ?? []
    }
    if (sql.includes('sys.dm_exec_requests')) {
      return there?.isWaiting === true ? [{ id: String(there.id) }] : []
    }
    if (sql.startsWith('select') && sql.includes('sys.dm_exec_sessions')) {
      return there?.program === program ? [{ id: String(there?.id) }] : []
    }
    return undefined
  }

  #suspend(session: StubSession, list: string): StubReply {
    if (this.#suspension !== undefined) return { error: 'It is suspended already.' }
    const names = [...list.matchAll(/\[((?:[^\]]|\]\])*)\]/g)]
      .map(([, name = '']) => name.replaceAll(']]', ']'))
    const unknown = names.find((name) => this.databases.get(name) !== 'ONLINE')
    if (unknown !== undefined) return { error: `Database '${unknown}' cannot be opened.` }
    this.#suspension = { session, names, sinceMs: systemClock.monotonicMs() - FLUSH_MS }
    return { rows: [] }
  }

  #resumeFrom(session: StubSession): StubReply {
    if (this.#suspension?.session !== session) return { error: 'It is not suspended.' }
    this.#suspension = undefined
    return { rows: [] }
  }

  /** True if the statement is one that ends a session. */
  #kill(sql: string): boolean {
    const [, id, program, victim] =
      /session_id = (\d+) and program_name = N'(.*)'\) kill (\d+)$/.exec(sql) ?? []
    if (id === undefined || id !== victim) return false
    const session = this.sessions.get(Number(id))
    if (session?.program === program) {
      session?.stream.destroy()
      if (session !== undefined) this.#end(session)
    }
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.hangUp()
    await this.host[Symbol.asyncDispose]()
  }
}

let pem: string | undefined

/** One that the server makes for itself, as a real one does. */
function certificate(): { readonly key: string; readonly cert: string } {
  pem ??= execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '-', '-out', '-', '-subj', '/CN=stub',
    '-days', '1'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  return { key: pem, cert: pem }
}
