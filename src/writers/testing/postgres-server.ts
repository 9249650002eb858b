/** Real PostgreSQL clusters for tests, on unix sockets in a temporary folder. */

import { spawnSync, type ChildProcess } from 'node:child_process'
import { appendFile, readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { systemClock } from '../../base/clock.ts'
import { asAccount } from '../local-socket.ts'
import { newestBin, ServerFolder } from './server-folder.ts'

export class PostgresServer implements AsyncDisposable {
  readonly dataFolder: string
  readonly port: number
  readonly #folder: ServerFolder
  readonly #bin: string
  #process: ChildProcess | undefined

  private constructor(folder: ServerFolder, bin: string, dataFolder: string, port: number) {
    this.#folder = folder
    this.#bin = bin
    this.dataFolder = dataFolder
    this.port = port
    folder.defer(() => removeSegment(dataFolder))
  }

  /** Makes and starts a cluster below `folder`; `settings` are lines of its configuration. */
  static async start(
    folder: ServerFolder, name: string, port: number, settings: readonly string[] = [],
  ): Promise<PostgresServer> {
    const bin = await newestBin('postgresql')
    const dataFolder = await folder.mkdir(name)
    folder.run(join(bin, 'initdb'), [
      '-D', dataFolder, '-A', 'peer', '-U', ownerRole(), '--no-sync', '--no-instructions'])
    await appendFile(join(dataFolder, 'postgresql.conf'), [
      '', `port = ${port}`, `unix_socket_directories = '${folder.path}'`,
      `listen_addresses = ''`, 'shared_buffers = 16MB',
      'dynamic_shared_memory_type = mmap', // in its folder, where a kill leaves nothing behind
      'log_min_messages = panic', ...settings, '',
    ].join('\n'))
    const server = new PostgresServer(folder, bin, dataFolder, port)
    await server.restart()
    return server
  }

  /** A standby of `primary`, which it follows. */
  static async startStandby(
    folder: ServerFolder, name: string, port: number, primary: PostgresServer,
  ): Promise<PostgresServer> {
    const bin = await newestBin('postgresql')
    const dataFolder = join(folder.path, name)
    folder.run(join(bin, 'pg_basebackup'), [
      '-D', dataFolder, '-R', '-h', folder.path, '-p', String(primary.port), '-c', 'fast',
      '-U', ownerRole(), '--no-sync'])
    await appendFile(join(dataFolder, 'postgresql.conf'), `\nport = ${port}\n`)
    const server = new PostgresServer(folder, bin, dataFolder, port)
    await server.restart()
    return server
  }

  /** Starts it, again if it ran; `how` it is ended before. */
  async restart(how: NodeJS.Signals = 'SIGINT'): Promise<void> {
    await this.kill(how)
    for (let tries = 0; !(await this.#tryStart()); tries++) {
      if (tries > 1200) throw new Error(`PostgreSQL in ${this.dataFolder} does not start`)
    }
  }

  /** False if it ended again: the children of a killed server live on for a moment. */
  async #tryStart(): Promise<boolean> {
    const child = await this.#folder.start(join(this.#bin, 'postgres'), [
      '-D', this.dataFolder, '-k', this.#folder.path])
    this.#process = child
    while (child.exitCode === null) {
      try {
        await this.query('select 1')
        return true
      } catch {
        await systemClock.sleep(50, new AbortController().signal)
      }
    }
    await this.kill()
    return false
  }

  async kill(how: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process !== undefined) await this.#folder.kill(this.#process, how)
    this.#process = undefined
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** Asked past the writer, over a connection of its own. */
  async query(sql: string): Promise<readonly Record<string, string>[]> {
    const client = await this.client()
    try {
      return (await client.query<Record<string, string>>(sql)).rows
    } finally {
      await client.end()
    }
  }

  async client(): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.#folder.path, port: this.port, user: ownerRole(), database: 'postgres' })
    client.on('error', () => {}) // servers are killed under it
    await asAccount(this.#folder.account.uid, () => client.connect())
    return client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

/**
 * A killed server leaves its System V segment, whose id is the second word of line 7 in its
 * `postmaster.pid`. Not sooner than at the end: by it the next server on these files sees whether
 * children of the one before are still there.
 */
async function removeSegment(dataFolder: string): Promise<void> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => '')
  const [, segment = ''] = text.split('\n')[6]?.trim().split(/ +/) ?? []
  if (/^\d+$/.test(segment)) spawnSync('ipcrm', ['-m', segment]) // it may be gone
}

/** The name of the account that the servers run as, which is their first role. */
function ownerRole(): string {
  return process.geteuid?.() === 0 ? 'postgres' : userInfo().username
}
