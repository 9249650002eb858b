/**
 * A guardian's process, simulated: the real `Guardian`, its two pipes in virtual time. What the
 * process itself does (guardian-main.ts, guardian-process.ts) is modelled here: lines in and out,
 * its end with the requestor's, and the sweep of what a dead requestor left in the machine.
 */

import { abortable, deadline, type Clock } from '../../../src/base/clock.ts'
import { Fault } from '../../../src/base/fault.ts'
import {
  encodeMessage, faultFromPlain, Guardian, parseMessage, parseRequest, plainFault, RELEASE_TIMES,
  type GuardianMessage, type RunningGuardian,
} from '../../../src/providers/testing/mod.ts'
import type { PipeEnd } from './pipe.ts'
import { ProcessClock, type SimulatedProcess } from './process.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface GuardianParts {
  readonly common: VirtualClock
  readonly requestor: SimulatedProcess
  /** A new connection to qemu-ga. */
  readonly connect: () => PipeEnd
  /** Removes what the run with this prefix left in the machine. */
  readonly tidy: (prefix: string) => void
  readonly note: (text: string) => void
}

type Ask = Parameters<RunningGuardian['ask']>[0]
type Listener = Parameters<RunningGuardian['onEvent']>[0]

const PIPE_MS = 0.1
const CLOSE_MS = 5_000
/** Beyond what a kernel gives to any process, so that no real one is looked at. */
const NO_PID = 2 ** 30

export class ModelGuardian implements RunningGuardian {
  readonly pid = NO_PID
  readonly #parts: GuardianParts
  readonly #process: ProcessClock
  readonly #guardian: Guardian
  readonly #connections: PipeEnd[] = []
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #listeners = new Set<Listener>()
  readonly #ended = Promise.withResolvers<void>()
  #nextId = 1
  #isEnding = false
  #hasExited = false

  constructor(parts: GuardianParts) {
    this.#parts = parts
    this.#process = new ProcessClock(parts.common)
    this.#guardian = new Guardian({
      clock: this.#process, times: RELEASE_TIMES, stopMs: 10_000, idleMs: 5_000, pid: NO_PID,
      send: (message) => this.#say(message),
      shout: (text) => parts.note(`guardian: ${text}`),
      killRequestor: () => parts.requestor.kill(),
      openChannel: async () => {
        if (this.#process.isDead) await new Promise(() => {})
        const connection = parts.connect()
        this.#connections.push(connection)
        return connection
      },
    })
  }

  /** The process is gone, whatever the requestor knows. */
  get hasExited(): boolean {
    return this.#hasExited
  }

  get isAlive(): boolean {
    return !this.#hasExited
  }

  get ended(): Promise<void> {
    return this.#ended.promise
  }

  onEvent(listener: Listener): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener) } }
  }

  async ask(request: Ask, limitMs: number): Promise<unknown> {
    const { requestor } = this.#parts
    return requestor.outside(`asking the guardian to ${request.do}`, async () => {
      if (this.#hasExited) throw gone()
      const id = this.#nextId++
      const answer = Promise.withResolvers<unknown>()
      this.#waiting.set(id, answer)
      const line = JSON.stringify({ ...request, id })
      this.#parts.common.after(PIPE_MS, () => this.#process.whenRunning(() => this.#serve(line)))
      using limit = deadline(requestor.clock, limitMs, `the guardian (${request.do})`)
      limit.signal.addEventListener('abort', () => this.kill(), { once: true })
      return await answer.promise
    })
  }

  #serve(line: string): void {
    const request = parseRequest(JSON.parse(line))
    if (request === undefined || this.#isEnding) return
    void this.#guardian.handle(request).then(
      (value) => {
        this.#say({ id: request.id, value: value ?? null })
        if (request.do === 'close') this.#finish('closed')
      },
      (error: unknown) => this.#say({ id: request.id, fault: plainFault(error) }))
  }

  #say(message: GuardianMessage): void {
    if (this.#process.isDead) return
    const line = encodeMessage(message)
    const { common, requestor } = this.#parts
    common.after(PIPE_MS, () => requestor.clock.whenRunning(() => this.#hear(line)))
  }

  #hear(line: string): void {
    const message = parseMessage(JSON.parse(line))
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

  /** The requestor's end of the pipe is closed. */
  requestorGone(): void {
    this.#parts.common.after(PIPE_MS, () =>
      this.#process.whenRunning(() => this.#finish('abandoned')))
  }

  #finish(why: 'closed' | 'abandoned'): void {
    if (this.#isEnding) return
    this.#isEnding = true
    void this.#guardian.end().then(() => {
      const { nodePrefix } = this.#guardian.leavings
      if (why === 'abandoned' && nodePrefix !== '') this.#parts.tidy(nodePrefix)
      this.#exit()
    })
  }

  stop(): void {
    this.#process.stop()
  }

  go(): void {
    this.#process.go()
  }

  kill(): void {
    if (this.#hasExited) return
    this.#parts.note('the guardian is killed')
    this.#exit()
  }

  /** Whatever was under way ends with the process, and its connections are closed. */
  #exit(): void {
    this.#hasExited = true
    this.#process.kill()
    for (const connection of this.#connections) connection.cut()
    const { common, requestor } = this.#parts
    common.after(PIPE_MS, () => requestor.clock.whenRunning(() => {
      for (const { reject } of this.#waiting.values()) reject(gone())
      this.#waiting.clear()
      this.#ended.resolve()
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clock: Clock = this.#parts.requestor.clock
    using limit = deadline(clock, CLOSE_MS, 'the end of the guardian')
    try {
      if (this.isAlive) await abortable(this.ask({ do: 'close' }, CLOSE_MS * 2), limit.signal)
      await abortable(this.ended, limit.signal)
    } catch {
      // It goes on without us.
    } finally {
      this.requestorGone()
    }
  }
}

function gone(): Fault {
  return new Fault('guardian-failed', 'the guardian ended unexpectedly', { retry: 'later' })
}
