/**
 * A client of qemu-ga, the agent inside the guest, over the host's end of its channel.
 *
 * Source: QEMU documentation, "QEMU Guest Agent Protocol Reference" (guest-sync-delimited). The
 * agent carries out one command after the other, however long each takes, and answers in order; a
 * command waits in the channel meanwhile. The guardian imports this file: keep its imports few.
 */

import type { Duplex } from 'node:stream'
import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import { LineSplitter } from '../../base/lines.ts'
import { connectUnix } from '../../base/unix-socket.ts'
import { isLibvirtAgent } from '../libvirt/agent-address.ts'

/** The answer to `guest-get-fsinfo` of a guest with 1000 mounts is some 500 kB. */
const MAX_LINE_BYTES = 4 * 1024 * 1024
const MAX_DEPTH = 16
const MAX_COMMANDS = 1024
/** Commands sent and not answered; the guardian never has more than three. */
const MAX_PENDING = 16
/** Starts the answer to guest-sync-delimited, and makes the agent forget half a command. */
const SENTINEL = 0xff

export interface AgentVersion {
  /** Foreign text. */
  readonly version: string
  readonly enabledCommands: ReadonlySet<string>
}

export type FreezeStatus = 'thawed' | 'frozen'

/** Opens the host's end of an agent's channel: a unix socket, or what a simulation has for it. */
export type OpenChannel = (path: string, signal: AbortSignal) => Promise<Duplex>

/** By libvirt where the path is one of libvirt's machines: it holds their agents' sockets. */
const openByPath: OpenChannel = async (path, signal) => {
  if (isLibvirtAgent(path)) {
    const { openLibvirtAgent } = await import('../libvirt/agent-channel.ts')
    return openLibvirtAgent(path, signal)
  }
  return connectUnix(path, { what: 'the agent socket', code: 'agent-unreachable' }, signal)
}

interface Waiting {
  readonly command: string
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export class AgentClient implements AsyncDisposable {
  readonly path: string
  readonly #socket: Duplex
  readonly #clock: Clock
  readonly #splitter: LineSplitter
  readonly #waiting: Waiting[] = []
  #syncing: { readonly id: number; readonly resolve: () => void } | undefined
  #lost: Fault | undefined

  private constructor(path: string, socket: Duplex, clock: Clock) {
    this.path = path
    this.#socket = socket
    this.#clock = clock
    this.#splitter = new LineSplitter({
      maxBytes: MAX_LINE_BYTES, from: `the agent at ${printable(path)}`, code: 'agent-protocol' })
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (cause) =>
      this.#lose(cause instanceof Fault ? cause : this.#lostFault(cause)))
    socket.on('close', () => this.#lose(this.#lostFault(undefined)))
  }

  /**
   * Connects and waits up to `limitMs` for the agent to answer a synchronisation. An agent that
   * carries out an earlier client's freeze answers only after it. Faults: `agent-unreachable`
   * (no socket, no answer), `agent-protocol`.
   */
  static async connect(
    path: string, limitMs: number, clock: Clock, signal: AbortSignal,
    openChannel: OpenChannel = openByPath,
  ): Promise<AgentClient> {
    const client = new AgentClient(path, await openChannel(path, signal), clock)
    try {
      await client.#sync(limitMs, signal)
      return client
    } catch (error) {
      await client[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Answers to earlier clients, and the agent's complaint about the sentinel, come first. */
  async #sync(limitMs: number, signal: AbortSignal): Promise<void> {
    const id = Math.floor(this.#clock.nowMs()) % 0x7fff_ffff
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {})
    this.#syncing = { id, resolve }
    this.#socket.once('close', () => reject(this.#lost ?? this.#lostFault(undefined)))
    this.#socket.write(Buffer.concat([
      Buffer.of(SENTINEL),
      Buffer.from(`{"execute":"guest-sync-delimited","arguments":{"id":${id}}}\n`),
    ]))
    using limit = deadline(this.#clock, limitMs, 'the agent', signal)
    try {
      await abortable(promise, limit.signal)
    } catch (cause) {
      if (!(cause instanceof Fault) || cause.code !== 'timed-out') throw cause
      throw new Fault('agent-unreachable',
        `the agent at ${printable(this.path)} does not answer within ${limitMs} ms`,
        { cause, retry: 'later', advice: 'Check that qemu-ga runs in the guest, ' +
          'and that no other program holds this socket: only its first client is served.' })
    } finally {
      this.#syncing = undefined
    }
  }

  /** Faults: `agent-*`, or the signal's reason. */
  async version(signal: AbortSignal): Promise<AgentVersion> {
    const value = await abortable(this.#call('guest-info'), signal)
    if (!isJsonObject(value) || typeof value['version'] !== 'string') throw this.#nonsense()
    const commands = value['supported_commands']
    if (!Array.isArray(commands) || commands.length > MAX_COMMANDS) throw this.#nonsense()
    const enabled = new Set<string>()
    for (const command of commands as readonly unknown[]) {
      if (!isJsonObject(command) || typeof command['name'] !== 'string') throw this.#nonsense()
      if (command['enabled'] === true) enabled.add(command['name'])
    }
    return { version: value['version'], enabledCommands: enabled }
  }

  /** What `parseFileSystems` parses; bounded in size and depth alone. */
  fileSystems(signal: AbortSignal): Promise<unknown> {
    return abortable(this.#call('guest-get-fsinfo'), signal)
  }

  async status(signal: AbortSignal): Promise<FreezeStatus> {
    const value = await abortable(this.#call('guest-fsfreeze-status'), signal)
    if (value !== 'thawed' && value !== 'frozen') throw this.#nonsense()
    return value
  }

  /**
   * Issues a freeze and returns the count of frozen file systems. There is no limit: the answer
   * may come after any time, and giving up waiting does not undo the freeze. Faults:
   * `agent-refused` (the agent's own words), `agent-unreachable` (the connection broke).
   */
  async freeze(): Promise<number> {
    return this.#count(await this.#call('guest-fsfreeze-freeze'))
  }

  /** Issues a thaw, carried out after a freeze that is under way; returns the count thawed. */
  async thaw(): Promise<number> {
    return this.#count(await this.#call('guest-fsfreeze-thaw'))
  }

  /**
   * Any other command, which changes nothing that a thaw needs; what it returns is bounded in size
   * and depth alone. Faults: `agent-*`, or the signal's reason.
   */
  ask(
    command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal,
  ): Promise<unknown> {
    return abortable(this.#call(command, args), signal)
  }

  get isOpen(): boolean {
    return this.#lost === undefined
  }

  #count(value: unknown): number {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw this.#nonsense()
    }
    return value
  }

  #call(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    if (this.#waiting.length >= MAX_PENDING) {
      return Promise.reject(new Fault('agent-unreachable',
        `the agent at ${printable(this.path)} leaves ${MAX_PENDING} commands unanswered`))
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    promise.catch(() => {}) // its caller may have given up
    this.#waiting.push({ command, resolve, reject })
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    return promise
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#splitter.push(chunk)) this.#handle(line)
    } catch (error) {
      this.#lose(error instanceof Fault ? error : this.#lostFault(error))
    }
  }

  #handle(line: Buffer): void {
    const sentinelAt = line.lastIndexOf(SENTINEL)
    if (this.#syncing !== undefined) {
      if (sentinelAt === -1) return // an answer to an earlier client
      const answer = this.#parse(line.subarray(sentinelAt + 1))
      if (isJsonObject(answer) && answer['return'] === this.#syncing.id) this.#syncing.resolve()
      return
    }
    const waiting = this.#waiting[0]
    const answer = this.#parse(line.subarray(sentinelAt + 1))
    if (waiting === undefined || !isJsonObject(answer)) throw this.#nonsense()
    this.#waiting.shift()
    if ('return' in answer) waiting.resolve(answer['return'])
    else waiting.reject(refusal(waiting.command, answer['error']))
  }

  #parse(bytes: Uint8Array): unknown {
    return parseJson(bytes, `a line from the agent at ${printable(this.path)}`,
      'agent-protocol', { maxBytes: MAX_LINE_BYTES, maxDepth: MAX_DEPTH })
  }

  #nonsense(): Fault {
    return new Fault('agent-protocol',
      `the agent at ${printable(this.path)} sent an answer that cannot be understood`)
  }

  #lostFault(cause: unknown): Fault {
    return new Fault('agent-unreachable',
      `the connection to the agent at ${printable(this.path)} was closed`,
      cause === undefined ? {} : { cause })
  }

  #lose(fault: Fault): void {
    this.#lost ??= fault
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#lost)
    this.#socket.destroy()
  }

  /** Closes the connection, so that the next client is served. Thaws nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    const socket = this.#socket
    const closed = new Promise<void>((resolve) => {
      if (socket.closed) resolve()
      else socket.once('close', () => resolve())
    })
    this.#lose(this.#lostFault(undefined))
    await closed
  }
}

/** True if the agent refused a command because the guest is frozen already. */
export function saysFrozen(error: unknown): boolean {
  return error instanceof Fault && error.code === 'agent-refused' &&
    error.message.includes('the agent is in frozen state')
}

function refusal(command: string, error: unknown): Fault {
  const desc = isJsonObject(error) ? error['desc'] : undefined
  const said = printable(typeof desc === 'string' ? desc : 'no reason given')
  return new Fault('agent-refused', `the agent refused ${command}: ${said}`)
}
