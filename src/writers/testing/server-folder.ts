/** A folder in which a real server runs as an account without rights, and what runs it. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

/** The user and group ids of an account of this system; ours if we are not root. */
export async function accountOf(name: string): Promise<{ uid: number; gid: number }> {
  const uid = process.geteuid?.() ?? 0
  if (uid !== 0) return { uid, gid: process.getegid?.() ?? 0 }
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n')
    .find((it) => it.startsWith(`${name}:`))?.split(':')
  if (line === undefined) throw new Error(`there is no account ${name}: run make setup`)
  return { uid: Number(line[2]), gid: Number(line[3]) }
}

export class ServerFolder implements AsyncDisposable {
  readonly path: string
  /** What the writers take for proc(5): shows the servers of this folder and no others. */
  readonly procRoot: string
  readonly account: { readonly uid: number; readonly gid: number }
  readonly #children = new Set<ChildProcess>()
  readonly #deferred: (() => Promise<void>)[] = []

  private constructor(path: string, account: { uid: number; gid: number }) {
    this.path = path
    this.procRoot = join(path, 'proc')
    this.account = account
  }

  static async make(account: string): Promise<ServerFolder> {
    const path = await mkdtemp(join(tmpdir(), 'sp-')) // short, because the path of a socket is
    const folder = new ServerFolder(path, await accountOf(account))
    await chmod(path, 0o755)
    await chown(path, folder.account.uid, folder.account.gid)
    await mkdir(folder.procRoot)
    await symlink('/proc/self', join(folder.procRoot, 'self'))
    return folder
  }

  /** Below the folder, owned by the account. */
  async mkdir(name: string): Promise<string> {
    const path = join(this.path, name)
    await mkdir(path, { mode: 0o700 })
    await chown(path, this.account.uid, this.account.gid)
    return path
  }

  /** Runs a program of the server's to its end, as the account. */
  run(program: string, args: readonly string[]): void {
    const result = spawnSync(program, args, {
      ...this.#asAccount(), cwd: '/', encoding: 'utf8', timeout: 120_000 })
    if (result.status !== 0) throw new Error(`${program}: ${result.stderr} ${result.error ?? ''}`)
  }

  /** Starts a server, as the account, and shows it in `procRoot`. */
  async start(program: string, args: readonly string[]): Promise<ChildProcess> {
    // Root alone may change accounts; whoever it is, the server dies with us, however we die.
    const { uid, gid } = this.account
    const account = process.geteuid?.() === 0
      ? [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : []
    const child = spawn('setpriv', ['--pdeathsig=KILL', ...account, program, ...args], {
      cwd: '/', stdio: 'ignore' })
    this.#children.add(child)
    await once(child, 'spawn')
    await symlink(`/proc/${child.pid}`, join(this.procRoot, String(child.pid)))
    return child
  }

  /** Ends a server (default: as `kill -9` does) and waits until it is gone. */
  async kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      child.kill(signal)
      await gone
    }
    this.#children.delete(child)
    await rm(join(this.procRoot, String(child.pid)), { force: true })
  }

  /** Called once the servers are gone, while the files are there. */
  defer(cleanUp: () => Promise<void>): void {
    this.#deferred.push(cleanUp)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await this.kill(child)
    for (const cleanUp of this.#deferred) await cleanUp()
    await rm(this.path, { recursive: true, force: true, maxRetries: 10 })
  }

  #asAccount(): { uid?: number; gid?: number } {
    return process.geteuid?.() === 0 ? this.account : {}
  }
}

/** Stops a process, and waits until each of its threads has. */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  const isStopped = async (thread: string): Promise<boolean> =>
    /^State:\s+T/m.test(await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8'))
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    while (!(await isStopped(thread))) await setImmediate()
  }
}

/** The program of the newest version below `/usr/lib/NAME/VERSION/bin`. */
export async function newestBin(name: string): Promise<string> {
  const versions = await readdir(`/usr/lib/${name}`).catch(() => [])
  const newest = versions.filter((it) => /^\d+$/.test(it)).map(Number).toSorted((a, b) => b - a)[0]
  if (newest === undefined) throw new Error(`${name} is not installed: run make setup`)
  return `/usr/lib/${name}/${newest}/bin`
}
