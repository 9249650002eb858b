/** The machine's end: serves an application host to one requestor at a time. */

import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { LineSplitter } from '../base/lines.ts'
import type { ApplicationHost, DiscoveredApplication } from '../consistency/mod.ts'
import type { ByteChannel } from './byte-channel.ts'
import { asFault, Held } from './held.ts'
import {
  encodeReply, MAX_LINE_BYTES, parseRequest, PROTOCOL_VERSION, type Question, type Request,
} from './messages.ts'

export interface ServedHost {
  readonly host: ApplicationHost
  readonly clock: Clock
  /** What is held for requestors of any channel is entered here, and taken out when released. */
  readonly holds?: Set<object>
}

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
    this.#prepared.set(key, new Held(writer, this.#served.clock, this.#served.holds))
    return { key, contract: writer.contract, limits: writer.limits }
  }

  #heldBy(key: number): Held {
    const held = this.#prepared.get(key)
    if (held === undefined) throw new Fault('not-found', `nothing is prepared under ${key}`)
    return held
  }
}
