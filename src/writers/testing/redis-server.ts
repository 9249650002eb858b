/** A real Redis server for tests, on a unix socket in a temporary folder. */

import type { ChildProcess } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import type { Reply } from '../redis/resp.ts'
import { RedisSession } from '../redis/session.ts'
import type { ServerFolder } from './server-folder.ts'

export class RedisServer implements AsyncDisposable {
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

  /** `settings` are as on its command line: `--appendonly`, `yes`. */
  static async start(
    folder: ServerFolder, name: string, settings: readonly string[] = []): Promise<RedisServer> {
    await folder.mkdir(name)
    return RedisServer.startIn(folder, name, settings)
  }

  /** On the files that are there. */
  static async startIn(
    folder: ServerFolder, name: string, settings: readonly string[]): Promise<RedisServer> {
    const server = new RedisServer(
      folder, join(folder.path, name), join(folder.path, `${name}.sock`), settings)
    await server.restart()
    return server
  }

  /** Starts it, again if it ran. */
  async restart(): Promise<void> {
    await this.kill()
    const child = await this.#folder.start(await program(this.#folder), [
      '--port', '0', '--unixsocket', this.socketPath, '--unixsocketperm', '777',
      '--dir', this.dataFolder, '--repl-diskless-sync-delay', '0', ...this.#settings])
    this.#process = child
    while (child.exitCode === null && child.signalCode === null) {
      try {
        await this.ask('GET', 'x')
        return
      } catch (error) {
        if (/NOAUTH|NOPERM/.test(String(error))) return
        await systemClock.sleep(20, never)
      }
    }
    throw new Error(`Redis in ${this.dataFolder} does not start`)
  }

  async kill(how: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process !== undefined) await this.#folder.kill(this.#process, how)
    this.#process = undefined
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  client(): Promise<RedisSession> {
    return RedisSession.connect({ path: this.socketPath }, undefined, systemClock, 60_000, never)
  }

  /** Asked past the writer, over a connection of its own. */
  async ask(...args: readonly string[]): Promise<Reply> {
    const session = await this.client()
    try {
      return await session.ask(args, 60_000)
    } finally {
      session.destroy()
    }
  }

  /** Whether a write has no answer after fifty others that only read have theirs. */
  async isHeld(): Promise<boolean> {
    const [writing, reading] = [await this.client(), await this.client()]
    try {
      let isAnswered = false
      const answered = (): void => { isAnswered = true }
      writing.send('SET', 'held', '1').then(answered, answered)
      for (let count = 0; count < 50; count++) await reading.send('PING')
      return !isAnswered
    } finally {
      writing.destroy()
      reading.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

/**
 * Debian's checking tool is the server when it is called so; the package of the server itself would
 * also start one for the whole system.
 */
async function program(folder: ServerFolder): Promise<string> {
  const path = join(folder.path, 'redis-server')
  await symlink('/usr/bin/redis-check-rdb', path).catch(() => {}) // it is there already
  return path
}

const never = new AbortController().signal
