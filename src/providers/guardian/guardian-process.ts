/** The requestor's end of a guardian: starts the process, asks it, and notices when it dies. */

import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'
import { quietEnvironment } from '../../base/program.ts'
import { siblingModule } from '../../base/worker.ts'
import { LineSplitter } from '../../base/lines.ts'
import {
  faultFromPlain, MAX_MESSAGE_BYTES, parseMessage, type GuardianMessage, type GuardianRequest,
} from './protocol.ts'
import type { ReleaseTimes } from './release.ts'

export interface GuardianSettings {
  readonly times?: Partial<ReleaseTimes>
  readonly stopMs?: number
}

/** What a requestor asks of a guardian, wherever that runs. */
export type RunningGuardian = Pick<GuardianProcess, keyof GuardianProcess>

export type StartGuardian = (clock: Clock, settings: GuardianSettings) => RunningGuardian

/** What the way to a libvirt of the user's own, or over ssh, is found by. */
const SESSION = ['XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'SSH_AUTH_SOCK']

/** As a process of its own. */
export const startGuardian: StartGuardian = (clock, settings) =>
  GuardianProcess.start(clock, settings)

type GuardianEvent = Extract<GuardianMessage, { event: string }>

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** Waited for a guardian's end when it is told to close; one that still thaws is left to it. */
const CLOSE_MS = 5_000

export class GuardianProcess implements AsyncDisposable {
  readonly pid: number
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #clock: Clock
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(event: GuardianEvent) => void>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #exited = Promise.withResolvers<void>()
  #nextId = 1
  #dead: Fault | undefined

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>, clock: Clock) {
    this.#child = child
    this.#clock = clock
    this.pid = child.pid ?? 0
    const splitter = new LineSplitter({
      maxBytes: MAX_MESSAGE_BYTES, from: 'the guardian', code: 'guardian-failed' })
    child.stdout.on('data', (chunk: Buffer) => {
      try {
        for (const line of splitter.push(chunk)) this.#receive(line)
      } catch {
        this.kill() // it does not speak as it should: another takes its place
      }
    })
    // The pipe's end is noticed before the process is reaped.
    child.stdout.on('close', () => this.#end())
    child.stdin.on('error', () => this.#end())
    child.on('error', () => this.#end())
    child.on('exit', () => {
      this.#end()
      this.#exited.resolve()
    })
  }

  /** Starts a guardian in a session and process group of its own. Faults: `guardian-failed`. */
  static start(clock: Clock, settings: GuardianSettings = {}): GuardianProcess {
    const program = siblingModule('./guardian-main', import.meta)
    const child = spawn(process.execPath, [program, JSON.stringify(settings)], {
      detached: true, stdio: ['pipe', 'pipe', 'inherit'], env: quietEnvironment(SESSION),
      cwd: '/' })
    return new GuardianProcess(child, clock)
  }

  /** True until the process is known to have ended. */
  get isAlive(): boolean {
    return this.#dead === undefined
  }

  /** Resolves when the process has ended, for whatever reason. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  onEvent(listener: (event: GuardianEvent) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener) } }
  }

  /**
   * Asks and waits for the answer, `limitMs` at most: a guardian that is late is as good as dead
   * and is killed, so that another can take its place. Faults: the guardian's, `guardian-failed`.
   */
  async ask(request: GuardianRequest, limitMs: number): Promise<unknown> {
    if (this.#dead !== undefined) throw this.#dead
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, { resolve, reject })
    this.#child.stdin.write(`${JSON.stringify({ ...request, id })}\n`)
    using limit = deadline(this.#clock, limitMs, `the guardian (${request.do})`)
    const onLate = (): void => { this.kill() }
    limit.signal.addEventListener('abort', onLate, { once: true })
    try {
      return await promise
    } finally {
      limit.signal.removeEventListener('abort', onLate)
    }
  }

  /** Ends the process the hard way: what it holds must be recovered by another. */
  kill(): void {
    this.#child.kill('SIGKILL')
    this.#end()
  }

  #receive(line: Buffer): void {
    const message = parseMessage(parseJson(line, 'a message of the guardian', 'guardian-failed',
      { maxBytes: MAX_MESSAGE_BYTES, maxDepth: 16 }))
    if (message === undefined) return
    if ('event' in message) {
      for (const listener of this.#listeners) listener(message)
      return
    }
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('fault' in message) waiting?.reject(faultFromPlain(message.fault))
    else waiting?.resolve(message.value)
  }

  #end(): void {
    this.#dead ??= new Fault('guardian-failed',
      'the process that guarantees the thaw ended unexpectedly',
      { retry: 'later', advice: 'Look for what ended it (memory, an operator) and try again.' })
    for (const waiting of this.#waiting.values()) waiting.reject(this.#dead)
    this.#waiting.clear()
    this.#ended.resolve()
  }

  /** Tells it to end; one that still releases something goes on by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    using limit = deadline(this.#clock, CLOSE_MS, 'the end of the guardian')
    try {
      if (this.isAlive) await abortable(this.ask({ do: 'close' }, CLOSE_MS * 2), limit.signal)
      await abortable(this.#exited.promise, limit.signal)
    } catch {
      // It goes on; its pipe and its entry in the process table are no reason for us to stay.
    } finally {
      this.#child.stdin.end()
      this.#child.unref()
      this.#child.stdout.destroy()
    }
  }
}
