/** An application with a SQLite database: the `sqlite3` program, told what to do line by line. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ServerFolder } from './server-folder.ts'

export class SqliteApp implements AsyncDisposable {
  readonly path: string
  readonly #child: ChildProcess
  readonly #lines: AsyncIterableIterator<string>
  #count = 0

  private constructor(path: string, child: ChildProcess) {
    this.path = path
    this.#child = child
    if (child.stdout === null) throw new Error('no output')
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  }

  /** Has it open, as the account of the folder, and shown in its `procRoot`. */
  static async start(
    folder: ServerFolder, path: string, setup = 'pragma journal_mode=wal;'): Promise<SqliteApp> {
    const account = process.geteuid?.() === 0 ? folder.account : {}
    const child = spawn('sqlite3', ['-batch', path], {
      ...account, cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] })
    await once(child, 'spawn')
    await symlink(`/proc/${child.pid}`, join(folder.procRoot, String(child.pid)))
    const app = new SqliteApp(path, child)
    await app.run(`${setup} create table if not exists t(x);`)
    return app
  }

  /** Its answers, line by line; what it complains about is not among them. */
  async run(sql: string): Promise<readonly string[]> {
    const end = `end of ${++this.#count}`
    this.#child.stdin?.write(`${sql}\n.print ${end}\n`)
    const lines: string[] = []
    for (;;) {
      const next = await this.#lines.next()
      if (next.done === true) throw new Error('sqlite3 has ended')
      if (next.value === end) return lines
      lines.push(next.value)
    }
  }

  /** Whether a row could be written: no transaction of somebody else's keeps it out. */
  async insert(): Promise<boolean> {
    const count = async (): Promise<string> => (await this.run('select count(*) from t;')).join()
    const before = await count()
    await this.run('insert into t values(1);')
    return await count() !== before
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.stdin?.end()
    await gone
  }
}
