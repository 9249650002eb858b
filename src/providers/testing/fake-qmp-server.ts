/** A QMP server on a unix socket: greets one client at a time and answers as it is told. */

import { createServer, type Server, type Socket } from 'node:net'
import { isJsonObject } from '../../base/json.ts'

/** What a handler throws to refuse a command as QEMU does. */
export class FakeQmpError extends Error {
  readonly kind: string

  constructor(kind: string, desc: string) {
    super(desc)
    this.kind = kind
  }
}

export type FakeQmpHandler = (args: Readonly<Record<string, unknown>>) => unknown

const GREETING = { QMP: {
  version: { qemu: { micro: 22, minor: 2, major: 7 }, package: 'fake' }, capabilities: ['oob'] } }

export class FakeQmpServer implements AsyncDisposable {
  readonly path: string
  /** By command; `undefined` as a result leaves the command unanswered. */
  readonly handlers = new Map<string, FakeQmpHandler>()
  /** The commands that came, in order, without `qmp_capabilities`. */
  readonly journal: string[] = []
  status = 'running'
  /** Accepts clients and greets none. */
  isSilent = false
  readonly #server: Server
  readonly #clients: Socket[] = []
  readonly #watchers = new Set<() => void>()

  private constructor(path: string) {
    this.path = path
    this.#server = createServer((socket) => this.#accept(socket))
    this.handlers.set('qmp_capabilities', () => ({}))
    this.handlers.set('query-status', () => ({
      status: this.status, running: this.status === 'running', singlestep: false }))
    this.handlers.set('stop', () => {
      this.status = 'paused'
      return {}
    })
    this.handlers.set('cont', () => {
      this.status = 'running'
      return {}
    })
  }

  static async start(path: string): Promise<FakeQmpServer> {
    const server = new FakeQmpServer(path)
    await new Promise<void>((resolve) => { server.#server.listen(path, resolve) })
    return server
  }

  /** Sends an event to the client served. */
  emit(event: string, data: unknown = {}): void {
    this.send(JSON.stringify({ event, data, timestamp: { seconds: 1, microseconds: 2 } }))
  }

  /** Sends a raw line to the client served. */
  send(line: string): void {
    this.#clients[0]?.write(`${line}\n`)
  }

  /** Resolves when `isTrue` holds; looked at after each command and client. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => { this.#watchers.add(resolve) })
    }
  }

  get clientCount(): number {
    return this.#clients.length
  }

  #accept(socket: Socket): void {
    this.#clients.push(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('close', () => {
      const wasServed = this.#clients[0] === socket
      this.#clients.splice(this.#clients.indexOf(socket), 1)
      if (wasServed) this.#greet()
      this.#changed()
    })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) this.#serve(socket, JSON.parse(line) as unknown)
    })
    if (this.#clients[0] === socket) this.#greet()
    this.#changed()
  }

  #greet(): void {
    if (!this.isSilent) this.send(JSON.stringify(GREETING))
  }

  #serve(socket: Socket, request: unknown): void {
    if (!isJsonObject(request) || typeof request['execute'] !== 'string') return
    const { execute: command, id } = request
    if (command !== 'qmp_capabilities') this.journal.push(command)
    const reply = (body: object): void => { socket.write(`${JSON.stringify({ ...body, id })}\n`) }
    const handler = this.handlers.get(command)
    try {
      if (handler === undefined) {
        throw new FakeQmpError('CommandNotFound', `The command ${command} has not been found`)
      }
      const value = handler(isJsonObject(request['arguments']) ? request['arguments'] : {})
      if (value !== undefined) reply({ return: value })
    } catch (error) {
      if (!(error instanceof FakeQmpError)) throw error
      reply({ error: { class: error.kind, desc: error.message } })
    }
    this.#changed()
  }

  #changed(): void {
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    for (const watcher of watchers) watcher()
  }

  /** Closes every connection, as when QEMU ends. */
  dropClients(): void {
    for (const socket of this.#clients) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropClients()
    await new Promise<void>((resolve) => { this.#server.close(() => resolve()) })
  }
}
