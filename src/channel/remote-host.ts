/** The requestor's end: the applications of a machine, asked through the agent in it. */

import { abortable, deadline, type Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import { LineSplitter } from '../base/lines.ts'
import { uuid, type RandomBytes } from '../base/random.ts'
import { printable } from '../base/text.ts'
import type {
  ApplicationHost, DiscoveredApplication, PreparedWriter, WriterAttempt, WriterThawOutcome,
} from '../consistency/mod.ts'
import {
  parseApplications, parseHeld, parseHello, parsePrepared, parseStatement, parseThawed,
  type PreparedAnswer,
} from './answers.ts'
import type { ByteChannel } from './byte-channel.ts'
import {
  encodeRequest, MAX_LINE_BYTES, parseReply, PROTOCOL_VERSION, type Question, type Reply,
} from './messages.ts'

export interface RemoteHostParts {
  /** Owned from here on. */
  readonly channel: ByteChannel
  readonly clock: Clock
  readonly random: RandomBytes
}

/** For the agent to answer at all; it lets go of an earlier requestor's applications first. */
const HELLO_MS = 15_000
/** Beyond the writer's limit, which the agent keeps: who overstays by this never answers. */
const GRACE_MS = 1000
const END_MS = 10_000
/** Lines that are nobody's: what an earlier requestor left, not a flood. */
const MAX_STRAY_LINES = 1000

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * Begins a conversation with the agent behind `channel`; what earlier requestors had prepared there
 * is released. Faults: `agent-unreachable`, `agent-protocol`.
 */
export async function connectRemoteHost(
  parts: RemoteHostParts, signal: AbortSignal): Promise<ApplicationHost> {
  const conversation = new Conversation(parts)
  try {
    const hello = await conversation.ask(
      { do: 'hello', version: PROTOCOL_VERSION }, HELLO_MS, signal)
    return new RemoteHost(conversation, printable(parseHello(hello).agent, 256), parts.clock)
  } catch (error) {
    conversation.end()
    throw isFault(error, 'timed-out') ? silent(error) : error
  }
}

class RemoteHost implements ApplicationHost {
  readonly agent: string
  readonly #conversation: Conversation
  readonly #clock: Clock

  constructor(conversation: Conversation, agent: string, clock: Clock) {
    this.#conversation = conversation
    this.agent = agent
    this.#clock = clock
  }

  async discover(signal: AbortSignal): Promise<readonly DiscoveredApplication[]> {
    return parseApplications(await this.#conversation.ask({ do: 'discover' }, Infinity, signal))
  }

  async prepare(
    application: DiscoveredApplication, signal: AbortSignal): Promise<PreparedWriter | undefined> {
    const answer = parsePrepared(await this.#conversation.ask(
      { do: 'prepare', name: application.name }, Infinity, signal))
    return answer === undefined
      ? undefined : remoteWriter(application, answer, this.#conversation, this.#clock)
  }

  /** The agent releases what is still prepared when the channel closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#conversation.end()
  }
}

function remoteWriter(
  application: DiscoveredApplication, { key, contract, limits }: PreparedAnswer,
  conversation: Conversation, clock: Clock,
): PreparedWriter {
  const never = new AbortController().signal
  const { freezeMs, thawMs } = limits
  let isEnded = false
  let isSilent = false // then it is not asked for the end too: that would take as long again

  const beginFreeze = (): WriterAttempt => {
    let outcome: Promise<WriterThawOutcome> | undefined
    const held = conversation.ask({ do: 'freeze', key }, freezeMs + GRACE_MS, never)
      .then(parseHeld, (error: unknown) => { throw late(error, application.name) })
    held.catch(() => {})
    const thaw = async (): Promise<WriterThawOutcome> => {
      try {
        return parseThawed(
          await conversation.ask({ do: 'thaw', key }, thawMs + GRACE_MS, never))
      } catch (error) {
        isSilent = isFault(error, 'timed-out')
        return { state: 'unknown', detail: error instanceof Error ? error.message : 'no answer' }
      }
    }
    return { held, thaw: () => outcome ??= thaw() }
  }
  let attempt: WriterAttempt | undefined
  const abort = async (signal: AbortSignal): Promise<void> => {
    if (isEnded || isSilent) return
    isEnded = true
    await conversation.ask({ do: 'abort', key }, END_MS, signal)
  }
  return {
    application, contract, limits,
    beginFreeze: () => attempt ??= beginFreeze(),
    complete: async (signal) => {
      isEnded = true
      return parseStatement(await conversation.ask({ do: 'complete', key }, END_MS, signal))
    },
    abort,
    [Symbol.asyncDispose]: async () => {
      using limit = deadline(clock, END_MS, 'the release of an application')
      await abort(limit.signal).catch(() => {}) // the end of the channel releases it too
    },
  }
}

/** One nonce; questions and their answers. */
class Conversation {
  readonly #channel: ByteChannel
  readonly #clock: Clock
  readonly #session: string
  readonly #splitter = new LineSplitter({
    maxBytes: MAX_LINE_BYTES, from: 'the agent in the machine', code: 'agent-protocol' })
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  #strayLines = 0
  #isBegun = false
  #lost: Fault | undefined

  constructor({ channel, clock, random }: RemoteHostParts) {
    this.#channel = channel
    this.#clock = clock
    this.#session = uuid(random).replaceAll('-', '')
    channel.listen({
      onBytes: (bytes) => this.#receive(bytes),
      onEnd: () => this.#lose(silent()),
    })
    channel.send('\n') // ends what an earlier requestor may have left unfinished
  }

  /** `limitMs` may be Infinity: then the signal alone ends the wait. */
  async ask(question: Question, limitMs: number, signal: AbortSignal): Promise<unknown> {
    if (this.#lost !== undefined) throw this.#lost
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    promise.catch(() => {})
    this.#waiting.set(id, { resolve, reject })
    this.#channel.send(encodeRequest({ session: this.#session, id, question }))
    try {
      if (limitMs === Infinity) return await abortable(promise, signal)
      using limit = deadline(this.#clock, limitMs, `"${question.do}"`, signal)
      return await abortable(promise, limit.signal)
    } finally {
      this.#waiting.delete(id)
    }
  }

  end(): void {
    this.#lose(new Fault('agent-unreachable', 'the connection to the agent was ended'))
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const line of this.#splitter.push(bytes)) this.#handle(parseReply(line))
    } catch (error) {
      // A line too long may be an earlier requestor's only while nothing has been answered.
      this.#lose(error instanceof Fault ? error : silent(error))
    }
  }

  #handle(reply: Reply | undefined): void {
    if (reply?.session !== this.#session) {
      if (this.#isBegun || ++this.#strayLines > MAX_STRAY_LINES) {
        throw new Fault('agent-protocol', 'the agent in the machine says what nobody asked')
      }
      return
    }
    this.#isBegun = true
    const waiting = this.#waiting.get(reply.id)
    if (waiting === undefined) return // nobody waits for it any more
    if ('ok' in reply.answer) waiting.resolve(reply.answer.ok)
    else waiting.reject(reply.answer.fault)
  }

  #lose(fault: Fault): void {
    if (this.#lost !== undefined) return
    this.#lost = fault
    for (const { reject } of this.#waiting.values()) reject(fault)
    this.#channel.close()
  }
}

function silent(cause?: unknown): Fault {
  return new Fault('agent-unreachable', 'the agent of Stillpoint in the machine does not answer', {
    ...cause === undefined ? {} : { cause }, retry: 'later',
    advice: 'Check that stillpoint-agent runs in the machine, and that no other program holds ' +
      'its channel.' })
}

function late(error: unknown, name: string): unknown {
  return isFault(error, 'timed-out') ? new Fault('writer-timeout',
    `${printable(name, 100)} did not answer: ${error.message}`, { retry: 'later' }) : error
}
