/**
 * A guest agent on a unix socket that behaves as qemu-ga 7.2 was measured to.
 *
 * One client is served at a time; what a second one sends waits until the first is gone. Commands
 * are carried out in order, one at a time, also those of clients that have died meanwhile.
 */

import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { isJsonObject } from '../../base/json.ts'

const STRAY = `{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\\uFFFD'"}}\n`
const ALLOWED_WHILE_FROZEN = new Set([
  'guest-ping', 'guest-info', 'guest-sync', 'guest-sync-delimited', 'guest-fsfreeze-status',
  'guest-fsfreeze-thaw',
])

export interface FakeAgentBehaviour {
  /** File systems that a freeze freezes. */
  fileSystems: number
  /** Called when the file systems are frozen and thawed; what they return is the count. */
  onFreeze: (count: number) => number
  onThaw: (count: number) => number
  /** Takes commands and answers nothing, as an agent that hangs or is not there. */
  isSilent: boolean
  /** Commands that `guest-info` lists as disabled and that are refused. */
  readonly disabled: Set<string>
  /** Awaited inside the freeze: a hook that takes its time. */
  beforeFreeze: () => Promise<void>
  beforeThaw: () => Promise<void>
  /** A hook's exit code: the freeze is refused and nothing is frozen. */
  freezeHookStatus: number
  /** A hook's exit code: the thaw is refused although everything is thawed. */
  thawHookStatus: number
  /** Answers of `guest-get-fsinfo`. */
  fsinfo: readonly unknown[]
  /** Further commands: each returns what the agent returns, or throws what it refuses with. */
  readonly commands: Map<string, (args: Readonly<Record<string, unknown>>) => unknown>
}

export class FakeGuestAgent implements AsyncDisposable {
  readonly path: string
  readonly behaviour: FakeAgentBehaviour = {
    fileSystems: 3, onFreeze: (count) => count, onThaw: (count) => count, isSilent: false,
    disabled: new Set(), freezeHookStatus: 0, thawHookStatus: 0,
    beforeFreeze: () => Promise.resolve(), beforeThaw: () => Promise.resolve(), fsinfo: [],
    commands: new Map(),
  }
  /** What was carried out, in order: `freeze 3`, `thaw 2`, `sync` … */
  readonly journal: string[] = []
  /** How many file systems are frozen now. Set it lower to thaw behind the agent's back. */
  frozen = 0
  readonly #clients: Client[] = []
  readonly #watchers = new Set<() => void>()
  #says: 'thawed' | 'frozen' = 'thawed'
  #busy = Promise.resolve()

  #close = (): Promise<void> => Promise.resolve()

  /** One that listens nowhere: `accept` gives it its clients. */
  constructor(path = 'an agent in memory') {
    this.path = path
  }

  static async start(path: string): Promise<FakeGuestAgent> {
    const agent = new FakeGuestAgent(path)
    const server = createServer((socket) => agent.accept(socket))
    await new Promise<void>((resolve) => { server.listen(path, resolve) })
    agent.#close = () => new Promise<void>((resolve) => { server.close(() => resolve()) })
    return agent
  }

  get status(): 'thawed' | 'frozen' {
    return this.#says
  }

  get clientCount(): number {
    return this.#clients.length
  }

  /** Freezes as another program would. */
  freezeByOthers(count: number): void {
    this.frozen = count
    this.#says = 'frozen'
  }

  /** Resolves when `isTrue` holds; looked at after each change. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => { this.#watchers.add(resolve) })
    }
  }

  #changed(): void {
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    for (const watcher of watchers) watcher()
  }

  /** Takes another client, which is served when those before it are gone. */
  accept(socket: Duplex): void {
    const client: Client = { socket, text: '', waiting: [] }
    this.#clients.push(client)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      if (this.#clients[0] === client) this.#take(client, chunk)
      else client.waiting.push(chunk)
    })
    socket.on('close', () => {
      this.#clients.splice(this.#clients.indexOf(client), 1)
      const next = this.#clients[0]
      for (const chunk of next?.waiting.splice(0) ?? []) if (next) this.#take(next, chunk)
      this.#changed()
    })
  }

  #take(client: Client, chunk: Buffer): void {
    if (this.behaviour.isSilent) return
    let text = chunk.toString('latin1')
    const stray = text.lastIndexOf('\u00ff')
    if (stray !== -1) {
      text = text.slice(stray + 1)
      client.text = ''
      this.#busy = this.#busy.then(() => { answer(client, STRAY) })
    }
    client.text += text
    const lines = client.text.split('\n')
    client.text = lines.pop() ?? ''
    for (const line of lines) {
      const request: unknown = JSON.parse(line)
      this.#busy = this.#busy.then(() => this.#serve(client, request))
    }
  }

  async #serve(client: Client, request: unknown): Promise<void> {
    if (!isJsonObject(request) || typeof request['execute'] !== 'string') return
    const command = request['execute']
    const args = isJsonObject(request['arguments']) ? request['arguments'] : {}
    if (command === 'guest-sync-delimited') {
      this.journal.push('sync')
      answer(client, `\u00ff{"return": ${String(args['id'])}}\n`)
    } else if (this.behaviour.disabled.has(command)) {
      refuse(client, 'CommandNotFound', `Command ${command} has been disabled`)
    } else if (this.#says === 'frozen' && !ALLOWED_WHILE_FROZEN.has(command)) {
      refuse(client, 'CommandNotFound',
        `Command ${command} has been disabled: the agent is in frozen state`)
    } else await this.#carryOut(client, command, args)
    this.#changed()
  }

  async #carryOut(
    client: Client, command: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    const { behaviour } = this
    switch (command) {
      case 'guest-fsfreeze-freeze':
        this.journal.push('freeze issued')
        this.#changed()
        await behaviour.beforeFreeze()
        if (behaviour.freezeHookStatus !== 0) {
          return refuse(client, 'GenericError',
            `fsfreeze hook has failed with status ${behaviour.freezeHookStatus}`)
        }
        this.freezeByOthers(behaviour.onFreeze(behaviour.fileSystems))
        this.journal.push(`freeze ${this.frozen}`)
        return answer(client, `{"return": ${this.frozen}}\n`)
      case 'guest-fsfreeze-thaw': {
        await behaviour.beforeThaw()
        const count = behaviour.onThaw(this.frozen)
        this.frozen = 0
        this.#says = 'thawed'
        this.journal.push(`thaw ${count}`)
        if (behaviour.thawHookStatus === 0) return answer(client, `{"return": ${count}}\n`)
        return refuse(client, 'GenericError',
          `fsfreeze hook has failed with status ${behaviour.thawHookStatus}`)
      }
      case 'guest-fsfreeze-status':
        return answer(client, `{"return": "${this.#says}"}\n`)
      case 'guest-get-fsinfo':
        return answer(client, `${JSON.stringify({ return: behaviour.fsinfo })}\n`)
      case 'guest-info':
        return answer(client, `${JSON.stringify({ return: this.#info() })}\n`)
      default: {
        const carryOut = behaviour.commands.get(command)
        if (carryOut !== undefined) return answerWith(client, () => carryOut(args))
        return refuse(client, 'CommandNotFound', `The command ${command} has not been found`)
      }
    }
  }

  #info(): unknown {
    const names = [...ALLOWED_WHILE_FROZEN, 'guest-fsfreeze-freeze', 'guest-get-fsinfo',
      ...this.behaviour.commands.keys()]
    return {
      version: '7.2.22',
      supported_commands: names.map((name) => ({
        name, enabled: !this.behaviour.disabled.has(name), 'success-response': true })),
    }
  }

  /** Closes every connection, as when the channel is reset. */
  dropClients(): void {
    for (const { socket } of this.#clients) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropClients()
    await this.#close()
  }
}

interface Client {
  readonly socket: Duplex
  text: string
  readonly waiting: Buffer[]
}

/** To a client that is gone an answer is lost, as on a channel without a host. */
function answer({ socket }: Client, text: string): void {
  if (!socket.destroyed) socket.write(Buffer.from(text, 'latin1'))
}

function answerWith(client: Client, value: () => unknown): void {
  try {
    answer(client, `${JSON.stringify({ return: value() })}\n`)
  } catch (error) {
    refuse(client, 'GenericError', error instanceof Error ? error.message : 'no reason')
  }
}

function refuse(client: Client, kind: string, desc: string): void {
  answer(client, `${JSON.stringify({ error: { class: kind, desc } })}\n`)
}
