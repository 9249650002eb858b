/** The backup's end of a requestor's process: starts it, asks it, and notices when it dies. */

import { spawn, type ChildProcess } from 'node:child_process'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { abortable, deadline, throwIfAborted, type Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import { parseJson } from '../../../base/json.ts'
import { LineSplitter } from '../../../base/lines.ts'
import { quietEnvironment } from '../../../base/program.ts'
import { printable } from '../../../base/text.ts'
import type { LongestTurn } from '../../../base/turns.ts'
import { siblingModule } from '../../../base/worker.ts'
import { VssFault } from '../session/hresult.ts'
import {
  MAX_LINE_BYTES, MAX_TEXT_UNITS, MESSAGES_FD, parseMessage, REQUESTOR_STDIO, VALUES,
  type Message, type Request, type Step, type Value,
} from './protocol.ts'

/** What starts the process; `REQUESTOR_STDIO` are its pipes. */
export type StartRequestor = () => ChildProcess

export interface Answer<S extends Step> {
  readonly value: Value<S>
  /** The document that came with it; empty where there is none. */
  readonly text: string
}

interface Waiting {
  readonly parts: string[]
  units: number
  readonly resolve: (answer: { readonly value: unknown; readonly text: string }) => void
  readonly reject: (error: Error) => void
}

/** For the process to give up VSS in good order, and to end behind that. */
const RELEASE_MS = 30_000
const EXIT_MS = 5_000
/** The last of what the process wrote before it died. */
const STDERR_UNITS = 2_000
/** What Windows' own libraries and Node look for. */
const ENVIRONMENT = ['SystemRoot', 'SystemDrive', 'TEMP', 'TMP', 'USERPROFILE']

/**
 * As a Node of its own. Detached: else Windows ends it together with us (libuv keeps children in a
 * job), before it could send Abort in our place.
 */
export const startRequestor: StartRequestor = () => {
  const env = quietEnvironment(ENVIRONMENT)
  const systemFolder = `${env['SystemRoot'] ?? 'C:\\Windows'}\\System32`
  return spawn(process.execPath, [
    '--disable-warning=ExperimentalWarning', siblingModule('./requestor-main', import.meta),
    systemFolder,
  ], { stdio: [...REQUESTOR_STDIO], env, windowsHide: true, detached: true })
}

export class RequestorProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #clock: Clock
  readonly #waiting = new Map<number, Waiting>()
  readonly #exited = Promise.withResolvers<void>()
  #stderr = ''
  #nextId = 1
  #dead: Fault | undefined
  #released: Promise<LongestTurn | undefined> | undefined

  constructor(clock: Clock, start: StartRequestor) {
    this.#clock = clock
    const child = start()
    this.#child = child
    const messages = child.stdio[MESSAGES_FD]
    void this.#listen(messages instanceof Readable ? messages : undefined)
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-STDERR_UNITS)
    })
    child.stdin?.on('error', () => {}) // its end is what counts
    child.on('error', (cause) => {
      this.#end(new Fault('platform-unreachable', 'no process for VSS could be started', { cause }))
      this.#exited.resolve()
    })
    child.on('exit', (code, killedBy) => {
      this.#exited.resolve()
      const last = printable(this.#stderr.trim().split('\n').slice(-3).join('; '))
      this.#end(new Fault('platform-unreachable',
        `the process that speaks with VSS ended (${killedBy ?? `exit code ${code}`})` +
        (last === '' ? '' : `: ${last}`),
        { retry: 'later', advice: 'Look for what ended it; VSS has ended its session.' }))
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Faults: `VssFault`, what the process sends, `platform-unreachable` when it is dead. */
  async ask<S extends Step>(
    request: Extract<Request, { step: S }>, signal: AbortSignal): Promise<Answer<S>> {
    throwIfAborted(signal)
    if (this.#dead !== undefined) throw this.#dead
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<{
      readonly value: unknown; readonly text: string }>()
    this.#waiting.set(id, { parts: [], units: 0, resolve, reject })
    this.#child.stdin?.write(`${JSON.stringify({ ...request, id })}\n`)
    const { value, text } = await abortable(promise, signal)
    const parsed = VALUES[request.step].safeParse(value)
    if (!parsed.success) throw misspoken(parsed.error)
    return { value: parsed.data as Value<S>, text }
  }

  /** The hard way; VSS ends the session, and deletes its shadow copies. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /**
   * Releases VSS and ends the process, by force where it does not within its limit. The longest
   * turn of its event loop; undefined where it was killed or had died.
   */
  release(): Promise<LongestTurn | undefined> {
    this.#released ??= this.#release()
    return this.#released
  }

  async #release(): Promise<LongestTurn | undefined> {
    let longestTurn: LongestTurn | undefined
    using limit = deadline(this.#clock, RELEASE_MS, 'the release of VSS')
    try {
      longestTurn = (await this.ask({ step: 'release' }, limit.signal)).value
      this.#child.stdin?.end()
      using exit = deadline(this.#clock, EXIT_MS, 'the end of the requestor')
      await abortable(this.#exited.promise, exit.signal)
    } catch {
      this.kill() // which is a release too
      using exit = deadline(this.#clock, EXIT_MS, 'the end of the requestor')
      await abortable(this.#exited.promise, exit.signal).catch(() => {})
    }
    return longestTurn
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  /** What arrives at once is not taken at once: a turn is some parts of a document at most. */
  async #listen(messages: AsyncIterable<Buffer> | undefined): Promise<void> {
    const splitter = new LineSplitter({
      maxBytes: MAX_LINE_BYTES, from: 'the requestor', code: 'platform-protocol' })
    try {
      for await (const chunk of messages ?? []) {
        for (const line of splitter.push(chunk)) this.#receive(line)
        await nextTurn()
      }
    } catch (error) {
      if (error instanceof Fault) this.#end(error) // else the stream broke: the exit says why
      this.kill()
    }
  }

  #receive(line: Buffer): void {
    const message = parseMessage(parseJson(line, 'a message of the requestor', 'platform-protocol',
      { maxBytes: MAX_LINE_BYTES, maxDepth: 8 }))
    if (message === undefined) throw misspoken(undefined)
    const waiting = this.#waiting.get(message.id)
    if (waiting === undefined) return
    if ('part' in message) {
      waiting.units += message.part.length
      if (waiting.units > MAX_TEXT_UNITS) throw misspoken(undefined)
      waiting.parts.push(message.part)
      return
    }
    this.#waiting.delete(message.id)
    settle(waiting, message)
  }

  #end(fault: Fault): void {
    this.#dead ??= fault
    for (const waiting of this.#waiting.values()) waiting.reject(this.#dead)
    this.#waiting.clear()
  }
}

function settle(waiting: Waiting, message: Exclude<Message, { part: string }>): void {
  if ('hresult' in message) {
    waiting.reject(new VssFault(message.of, message.hresult))
  } else if ('fault' in message) {
    const { code, message: text, advice } = message.fault
    waiting.reject(new Fault(code, text, advice === undefined ? {} : { advice }))
  } else waiting.resolve({ value: message.value, text: waiting.parts.join('') })
}

function misspoken(cause: unknown): Fault {
  return new Fault('platform-protocol', 'the process that speaks with VSS sent nonsense',
    cause === undefined ? {} : { cause })
}
