/** The machine's end: serves an application host to one requestor at a time. */

import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { LineSplitter } from '../base/lines.ts'
import type {
  ApplicationHost, DiscoveredApplication, PreparedWriter, WriterAttempt, WriterThawOutcome,
} from '../consistency/mod.ts'
import type { ByteChannel } from './byte-channel.ts'
import {
  encodeReply, MAX_LINE_BYTES, parseRequest, PROTOCOL_VERSION, type Question, type Request,
} from './messages.ts'

export interface ServedHost {
  readonly host: ApplicationHost
  readonly clock: Clock
}

/** Beyond the hold's limit, which the requestor keeps: then the agent releases by itself. */
const DEAD_MAN_GRACE_MS = 1000
const MAX_PREPARED = 256
const MAX_UNDER_WAY = 64

/**
 * Serves until the channel ends, then releases all that is prepared. A new `hello` on the channel
 * releases what the earlier requestor had prepared: it is gone. Whatever a requestor does or does
 * not do, nothing stays held past its limit by more than a second. Never rejects.
 */
export function serveHost(channel: ByteChannel, served: ServedHost): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let session: Session | undefined
  let splitter = newSplitter()
  const receive = (request: Request): void => {
    if (request.question.do === 'hello') {
      const last = session
      session = new Session(request.session, served, (text) => channel.send(text))
      session.begin(request, last?.end())
    } else if (session?.nonce === request.session) session.handle(request)
  }
  channel.listen({
    onBytes: (bytes) => {
      try {
        for (const line of splitter.push(bytes)) {
          const request = parseRequest(line)
          if (request !== undefined) receive(request)
        }
      } catch {
        splitter = newSplitter() // a line too long is no request; what follows it may be one
      }
    },
    onEnd: () => {
      const ending = session?.end() ?? Promise.resolve()
      void ending.then(resolve)
    },
  })
  return promise
}

function newSplitter(): LineSplitter {
  return new LineSplitter({
    maxBytes: MAX_LINE_BYTES, from: 'the requestor', code: 'agent-protocol' })
}

/** What one requestor has prepared. */
class Session {
  readonly nonce: string
  readonly #served: ServedHost
  readonly #send: (text: string) => void
  readonly #prepared = new Map<number, Held>()
  readonly #over = new AbortController()
  #known: ReadonlyMap<string, DiscoveredApplication> = new Map()
  #nextKey = 1
  #underWay = 0
  #ended: Promise<void> | undefined

  constructor(nonce: string, served: ServedHost, send: (text: string) => void) {
    this.nonce = nonce
    this.#served = served
    this.#send = send
  }

  /** Answers the greeting once `before`, the release of the last session, is over. */
  begin(request: Request, before: Promise<void> | undefined): void {
    this.#answer(request, async (question) => {
      await before
      if (question.do === 'hello' && question.version !== PROTOCOL_VERSION) {
        throw new Fault('unsupported', `the agent speaks version ${PROTOCOL_VERSION}, and was ` +
          `addressed in ${question.version}`, { advice: 'Install one version on both sides.' })
      }
      return { agent: this.#served.host.agent }
    })
  }

  handle(request: Request): void {
    if (this.#underWay >= MAX_UNDER_WAY) return
    this.#answer(request, (question) => this.#carryOut(question))
  }

  /** Releases everything; idempotent, never rejects. */
  end(): Promise<void> {
    this.#ended ??= (async () => {
      this.#over.abort(new Fault('interrupted', 'the requestor went away'))
      // Together: one that hangs must not keep the others held.
      await Promise.all([...this.#prepared.values()].map((held) => held.release()))
    })()
    return this.#ended
  }

  #answer(
    { session, id, question }: Request, act: (question: Question) => Promise<unknown>): void {
    this.#underWay++
    void act(question)
      .then((ok) => ({ ok }), (error: unknown) => ({ fault: asFault(error) }))
      .then((answer) => {
        this.#underWay--
        if (this.#ended === undefined) this.#send(encodeReply({ session, id, answer }))
      })
  }

  async #carryOut(question: Question): Promise<unknown> {
    switch (question.do) {
      case 'hello': return {}
      case 'discover': {
        const found = await this.#served.host.discover(this.#over.signal)
        this.#known = new Map(found.map((application) => [application.name, application]))
        return found
      }
      case 'prepare': return this.#prepare(question.name)
      case 'freeze': return this.#heldBy(question.key).freeze()
      case 'thaw': return this.#heldBy(question.key).thaw()
      case 'complete': {
        const held = this.#heldBy(question.key)
        this.#prepared.delete(question.key)
        return held.complete(this.#over.signal)
      }
      case 'abort': {
        const held = this.#heldBy(question.key)
        this.#prepared.delete(question.key)
        return held.release()
      }
      default: return question satisfies never
    }
  }

  async #prepare(name: string): Promise<unknown> {
    const application = this.#known.get(name)
    if (application === undefined) throw new Fault('not-found', `${name} was not discovered`)
    if (this.#prepared.size >= MAX_PREPARED) {
      throw new Fault('writer-failed', 'too many applications are prepared already')
    }
    const writer = await this.#served.host.prepare(application, this.#over.signal)
    if (writer === undefined) return null
    if (this.#ended !== undefined) { // the requestor went away meanwhile
      await writer[Symbol.asyncDispose]()
      throw new Fault('interrupted', 'the requestor went away')
    }
    const key = this.#nextKey++
    this.#prepared.set(key, new Held(writer, this.#served.clock))
    return { key, contract: writer.contract, limits: writer.limits }
  }

  #heldBy(key: number): Held {
    const held = this.#prepared.get(key)
    if (held === undefined) throw new Fault('not-found', `nothing is prepared under ${key}`)
    return held
  }
}

/** One prepared application and its dead man's handle. */
class Held {
  readonly #writer: PreparedWriter
  readonly #clock: Clock
  #attempt: WriterAttempt | undefined
  #deadMan: Disposable | undefined
  /** Released before the requestor asked for it: the hold is void, whatever the writer says. */
  #isEarly = false

  constructor(writer: PreparedWriter, clock: Clock) {
    this.#writer = writer
    this.#clock = clock
  }

  async freeze(): Promise<unknown> {
    const { freezeMs, holdMs } = this.#writer.limits
    const attempt = this.#writer.beginFreeze()
    this.#attempt = attempt
    this.#deadMan ??= this.#clock.after(freezeMs + holdMs + DEAD_MAN_GRACE_MS, () => this.#letGo())
    const held = await attempt.held
    this.#deadMan[Symbol.dispose]()
    this.#deadMan = this.#clock.after(holdMs + DEAD_MAN_GRACE_MS, () => this.#letGo())
    return held
  }

  #letGo(): void {
    this.#isEarly = true
    void this.#attempt?.thaw()
  }

  async thaw(): Promise<WriterThawOutcome> {
    this.#deadMan?.[Symbol.dispose]()
    if (this.#attempt === undefined) {
      return { state: 'unknown', detail: 'it was never asked to hold still' }
    }
    const outcome = await this.#attempt.thaw()
    return outcome.state === 'thawed' && this.#isEarly ? {
      ...outcome, heldThroughout: false,
      statement: `released by the agent at its limit, before it was asked; ${outcome.statement}`,
    } : outcome
  }

  complete(signal: AbortSignal): ReturnType<PreparedWriter['complete']> {
    return this.#writer.complete(signal)
  }

  /** Thaws, whatever was asked before, and gives the application up. Never rejects. */
  async release(): Promise<void> {
    this.#deadMan?.[Symbol.dispose]()
    await this.#attempt?.thaw()
    await this.#writer[Symbol.asyncDispose]()
  }
}

function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error
  return new Fault('writer-failed', error instanceof Error ? error.message : String(error))
}
