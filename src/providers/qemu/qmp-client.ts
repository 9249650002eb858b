/**
 * A client of QEMU's machine protocol over a unix socket.
 *
 * Source: QEMU documentation, "QEMU Machine Protocol Specification". Out-of-band execution is not
 * used: QEMU then carries out commands one after the other, in the order they were written.
 */

import type { Socket } from 'node:net'
import { abortable, deadline, reasonOf, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import { LineSplitter } from '../../base/lines.ts'
import { connectUnix } from '../../base/unix-socket.ts'

export interface QmpCommand {
  readonly execute: string
  readonly arguments?: Readonly<Record<string, unknown>>
}

export interface QmpEvent {
  readonly event: string
  readonly data: unknown
  /** When it happened by QEMU's wall clock, in microseconds since 1970; 0 if it states none. */
  readonly atUs: number
}

export interface QmpLimits {
  /** From connecting to the answer to `qmp_capabilities`. */
  readonly greetingMs: number
  /** From writing a command to its answer; block-layer commands may wait for I/O under way. */
  readonly commandMs: number
}

export const QMP_LIMITS: QmpLimits = { greetingMs: 5_000, commandMs: 30_000 }

/** `query-qmp-schema` is 190 kB in QEMU 7.2; a machine with 500 nodes answers with some 1 MB. */
const MAX_LINE_BYTES = 8 * 1024 * 1024
const MAX_DEPTH = 32
/** Commands sent and not answered, those given up by their callers included. */
const MAX_PENDING = 256

interface Waiting {
  readonly command: string
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** The outcome of one command of a pipeline. */
export type QmpOutcome = { readonly value: unknown } | { readonly fault: Error }

export class QmpClient implements AsyncDisposable {
  readonly path: string
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #limits: QmpLimits
  readonly #splitter: LineSplitter
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #greeting = Promise.withResolvers<string>()
  #nextId = 1
  #lost: Fault | undefined

  private constructor(path: string, socket: Socket, clock: Clock, limits: QmpLimits) {
    this.path = path
    this.#socket = socket
    this.#clock = clock
    this.#limits = limits
    this.#splitter = new LineSplitter({
      maxBytes: MAX_LINE_BYTES, from: `QEMU at ${printable(path)}`, code: 'platform-protocol' })
    this.#greeting.promise.catch(() => {}) // it may fail before anybody waits for it
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (cause) => this.#lose(this.#lostFault(cause)))
    socket.on('close', () => this.#lose(this.#lostFault(undefined)))
  }

  /**
   * Connects, waits for the greeting and enters command mode. Faults: `platform-unreachable`
   * (missing, not permitted, silent), `platform-protocol`.
   */
  static async connect(
    path: string, clock: Clock, signal: AbortSignal, limits: QmpLimits = QMP_LIMITS,
  ): Promise<QmpClient> {
    const role = { what: 'the QMP socket', code: 'platform-unreachable' } as const
    const client = new QmpClient(path, await connectUnix(path, role, signal), clock, limits)
    try {
      await client.#greet(signal)
      await client.execute('qmp_capabilities', {}, signal)
      return client
    } catch (error) {
      await client[Symbol.asyncDispose]()
      throw error
    }
  }

  async #greet(signal: AbortSignal): Promise<void> {
    using limit = deadline(this.#clock, this.#limits.greetingMs, 'the greeting', signal)
    try {
      await abortable(this.#greeting.promise, limit.signal)
    } catch (cause) {
      if (!(cause instanceof Fault) || cause.code !== 'timed-out') throw cause
      throw new Fault('platform-unreachable',
        `the QMP socket ${printable(this.path)} does not greet within ${
          this.#limits.greetingMs} ms`,
        { cause, retry: 'later', advice: 'A QMP socket serves one client at a time: ' +
          'end the other client, or give the machine a second -qmp socket.' })
    }
  }

  /**
   * Carries out one command and returns what it returns, not yet parsed. Faults: `platform-refused`
   * with QEMU's words, `unsupported` for a command this QEMU does not know, `timed-out`,
   * `machine-lost`. After an abort or time-out the command may still take effect.
   */
  async execute(
    command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal,
  ): Promise<unknown> {
    const [outcome] = await this.pipeline([{ execute: command, arguments: args }], signal)
    if (outcome === undefined) throw new Fault('platform-protocol', `no outcome of ${command}`)
    if ('fault' in outcome) throw outcome.fault
    return outcome.value
  }

  /**
   * Writes all commands at once and waits for all their outcomes, in order. QEMU carries out each,
   * also after one that failed: put nothing after a command that must not follow its failure.
   * Never throws; an abort or time-out is the outcome of those not answered by then.
   */
  async pipeline(
    commands: readonly QmpCommand[], signal: AbortSignal): Promise<readonly QmpOutcome[]> {
    using limit = deadline(this.#clock, this.#limits.commandMs,
      `QEMU command ${commands.map((command) => command.execute).join(', ')}`, signal)
    if (limit.signal.aborted) {
      return commands.map(() => ({ fault: reasonOf(limit.signal) }))
    }
    const texts: string[] = []
    const replies = commands.map((command) => this.#expect(command, texts))
    if (texts.length > 0) this.#socket.write(texts.join(''))
    return await Promise.all(replies.map((reply) => settle(abortable(reply, limit.signal))))
  }

  #expect(command: QmpCommand, texts: string[]): Promise<unknown> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    if (this.#waiting.size >= MAX_PENDING) {
      return Promise.reject(new Fault('platform-unreachable',
        `QEMU at ${printable(this.path)} leaves ${MAX_PENDING} commands unanswered`))
    }
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    promise.catch(() => {}) // its caller may have given up
    this.#waiting.set(id, { command: command.execute, resolve, reject })
    texts.push(`${JSON.stringify({ ...command, id })}\n`)
    return promise
  }

  /** Calls `listener` for each event until disposed. */
  onEvent(listener: (event: QmpEvent) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener) } }
  }

  /** Whether the connection still stands. */
  get isOpen(): boolean {
    return this.#lost === undefined
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#splitter.push(chunk)) {
        this.#handle(parseJson(line, `a line from QEMU at ${printable(this.path)}`,
          'platform-protocol', { maxBytes: MAX_LINE_BYTES, maxDepth: MAX_DEPTH }))
      }
    } catch (error) {
      this.#lose(error instanceof Fault ? error : this.#lostFault(error))
    }
  }

  #handle(message: unknown): void {
    if (!isJsonObject(message)) throw this.#notQmp()
    if (isJsonObject(message['QMP'])) return this.#greeting.resolve('greeted')
    if (typeof message['event'] === 'string') {
      const event = {
        event: message['event'], data: message['data'], atUs: microseconds(message['timestamp']) }
      for (const listener of this.#listeners) listener(event)
      return
    }
    const id = message['id']
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined
    if (typeof id !== 'number' || waiting === undefined) throw this.#notQmp()
    this.#waiting.delete(id)
    if ('return' in message) waiting.resolve(message['return'])
    else waiting.reject(refusal(waiting.command, message['error']))
  }

  #notQmp(): Fault {
    return new Fault('platform-protocol',
      `what listens on ${printable(this.path)} does not speak QMP as it should`,
      { advice: 'Check that the path is that of a -qmp socket, not of an agent or a console.' })
  }

  #lostFault(cause: unknown): Fault {
    return new Fault('machine-lost', `QEMU at ${printable(this.path)} closed the connection`, {
      ...(cause === undefined ? {} : { cause }), advice: 'Look at why QEMU ended.' })
  }

  #lose(fault: Fault): void {
    this.#lost ??= fault
    this.#greeting.reject(this.#lost)
    for (const waiting of this.#waiting.values()) waiting.reject(this.#lost)
    this.#waiting.clear()
    this.#socket.destroy()
  }

  /** Closes the connection, so that the next client of the socket is served. */
  async [Symbol.asyncDispose](): Promise<void> {
    const socket = this.#socket
    const closed = new Promise<void>((resolve) => {
      if (socket.closed) resolve()
      else socket.once('close', () => resolve())
    })
    this.#lose(new Fault('machine-lost', `the connection to ${printable(this.path)} was closed`))
    await closed
  }
}

function microseconds(timestamp: unknown): number {
  if (!isJsonObject(timestamp)) return 0
  const { seconds, microseconds: rest } = timestamp
  return typeof seconds === 'number' && typeof rest === 'number' ? seconds * 1e6 + rest : 0
}

function refusal(command: string, error: unknown): Fault {
  const { class: kind, desc } = isJsonObject(error) ? error : {}
  const said = printable(typeof desc === 'string' ? desc : 'no reason given')
  if (kind === 'CommandNotFound') {
    return new Fault('unsupported', `this QEMU has no command ${command}: ${said}`)
  }
  return new Fault('platform-refused', `QEMU refused ${command}: ${said}`)
}

async function settle(promise: Promise<unknown>): Promise<QmpOutcome> {
  try {
    return { value: await promise }
  } catch (error) {
    return { fault: error instanceof Error ? error : new Error(String(error)) }
  }
}
