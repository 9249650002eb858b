/** A real MariaDB server for tests, on a unix socket in a temporary folder. */

import type { ChildProcess } from 'node:child_process'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { createConnection, type Connection } from 'mysql2'
import { systemClock } from '../../base/clock.ts'
import type { ServerFolder } from './server-folder.ts'

export type Answer = readonly Readonly<Record<string, string | null>>[]

/** The account of the test, which the server takes for its administrator. */
export function ourselves(): { readonly name: string; readonly uid: number } {
  const { username, uid } = userInfo()
  return { name: username, uid }
}

export class MariadbServer implements AsyncDisposable {
  readonly dataFolder: string
  readonly socketPath: string
  readonly #folder: ServerFolder
  readonly #settings: readonly string[]
  #process: ChildProcess | undefined

  private constructor(
    folder: ServerFolder, dataFolder: string, socketPath: string, settings: readonly string[]) {
    this.#folder = folder
    this.dataFolder = dataFolder
    this.socketPath = socketPath
    this.#settings = settings
  }

  /** Makes and starts a server below `folder`; `settings` are options such as `--log-bin=bin`. */
  static async start(
    folder: ServerFolder, name: string, settings: readonly string[] = []): Promise<MariadbServer> {
    const dataFolder = await folder.mkdir(name)
    // A server that starts removes temporary tables of others where they share the folder.
    const temporary = await folder.mkdir(`${name}-tmp`)
    folder.run('/usr/bin/mariadb-install-db', [
      '--no-defaults', `--datadir=${dataFolder}`, '--auth-root-authentication-method=socket',
      `--auth-root-socket-user=${ourselves().name}`, '--skip-test-db',
      '--innodb-log-file-size=8M'])
    const server = new MariadbServer(
      folder, dataFolder, join(folder.path, `${name}.sock`), [...settings, `--tmpdir=${temporary}`])
    await server.restart()
    return server
  }

  /** Starts it, again if it ran. */
  async restart(): Promise<void> {
    await this.kill()
    const child = await this.#folder.start('/usr/sbin/mariadbd', [
      '--no-defaults', `--datadir=${this.dataFolder}`, `--socket=${this.socketPath}`,
      '--skip-networking', '--innodb-log-file-size=8M', '--innodb-buffer-pool-size=16M',
      ...this.#settings])
    this.#process = child
    while (child.exitCode === null && child.signalCode === null) {
      try {
        await this.query('select 1')
        return
      } catch {
        await systemClock.sleep(50, new AbortController().signal)
      }
    }
    throw new Error(`MariaDB in ${this.dataFolder} does not start`)
  }

  async kill(how: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process !== undefined) await this.#folder.kill(this.#process, how)
    this.#process = undefined
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** Asked past the writer, over a connection of its own; one statement after the other. */
  async query(...statements: readonly string[]): Promise<Answer> {
    const connection = this.client()
    let answer: Answer = []
    try {
      for (const statement of statements) answer = await ask(connection, statement)
      return answer
    } finally {
      connection.destroy()
    }
  }

  client(): Connection {
    const connection = createConnection({
      socketPath: this.socketPath, user: ourselves().name,
      typeCast: (field) => field.string() })
    connection.on('error', () => {}) // servers are killed under it
    return connection
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

export function ask(connection: Connection, statement: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    connection.query(statement, (error, rows) => {
      if (error !== null) reject(error)
      else resolve(Array.isArray(rows) ? rows as Answer : [])
    })
  })
}
