/** A process that is not there, as proc(5) would show it, and a socket that it seems to serve. */

import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface FakeProcess {
  readonly pid: number
  readonly program: string
  readonly parent?: number
  readonly args?: readonly string[]
  /** Its working folder; made if it is not there. */
  readonly cwd: string
}

export class FakeHost implements AsyncDisposable {
  readonly path: string
  readonly procRoot: string
  readonly #servers: { server: Server; sockets: Set<Socket> }[] = []

  private constructor(path: string) {
    this.path = path
    this.procRoot = join(path, 'proc')
  }

  /** With one mount, `/`, of type ext4. */
  static async make(): Promise<FakeHost> {
    const host = new FakeHost(await realpath(await mkdtemp(join(tmpdir(), 'sp-'))))
    await mkdir(join(host.procRoot, 'self'), { recursive: true })
    await host.mount('1 0 8:1 / / rw - ext4 /dev/sda1 rw\n')
    return host
  }

  async mount(mountinfo: string): Promise<void> {
    await writeFile(join(this.procRoot, 'self/mountinfo'), mountinfo)
  }

  async add({ pid, program, parent = 1, args = [], cwd }: FakeProcess): Promise<void> {
    const folder = join(this.procRoot, String(pid))
    await mkdir(folder)
    await mkdir(cwd, { recursive: true })
    await writeFile(join(folder, 'comm'), `${program}\n`)
    await writeFile(join(folder, 'cmdline'), [program, ...args, ''].join('\0'))
    const uid = process.geteuid?.() ?? 0
    await writeFile(join(folder, 'status'),
      `PPid:\t${parent}\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nNSpid:\t${pid}\n`)
    await symlink(`/usr/bin/${program}`, join(folder, 'exe'))
    await symlink(cwd, join(folder, 'cwd'))
    await symlink('/', join(folder, 'root'))
  }

  /** Serves a unix socket; every connection is given to `serve`. */
  async listen(path: string, serve: (socket: Socket) => void): Promise<void> {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
      serve(socket)
    })
    this.#servers.push({ server, sockets })
    await new Promise<void>((resolve) => { server.listen(path, resolve) })
  }

  /** How many connections to its sockets are open. */
  get openConnections(): number {
    return this.#servers.reduce((sum, { sockets }) => sum + sockets.size, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server, sockets } of this.#servers) {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
    await rm(this.path, { recursive: true, force: true })
  }
}
