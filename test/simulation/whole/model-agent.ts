/** The agent of Stillpoint in the guest: the real server of the channel, over model writers. */

import { serveHost } from '../../../src/channel/mod.ts'
import { writerSet } from '../../../src/writers/mod.ts'
import { makeLine, type Fates, type Line } from './line.ts'
import type { ModelApplication, Session } from './model-application.ts'
import type { ModelGuest } from './model-guest.ts'
import { modelWriters, type TroubleOf } from './model-writers.ts'
import { ProcessClock } from './process.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface AgentParts {
  readonly guest: ModelGuest
  readonly common: VirtualClock
  readonly channel: 'port' | 'socket'
  readonly note: (text: string) => void
}

export class ModelAgent {
  readonly #parts: AgentParts
  /** Of the run under way. */
  troubleOf: TroubleOf = () => undefined
  fates: Fates = () => ({ arrivals: [1], overtakes: false })
  #clock: ProcessClock
  #sessions = new Map<Session, ModelApplication>()
  #line: Line | undefined
  #serving: Promise<void> = Promise.resolve()

  constructor(parts: AgentParts) {
    this.#parts = parts
    this.#clock = new ProcessClock(parts.common)
  }

  /**
   * Another requestor opens the channel; it is served when the one before is gone. A port of which
   * nobody said that it was closed goes on with whatever comes.
   */
  connect(): Line {
    const { common, channel } = this.#parts
    const fates: Fates = (text) => this.fates(text)
    if (channel === 'port' && this.#line?.agent.isClosed === false) {
      this.#line = makeLine(common, fates, this.#line.agent)
      return this.#line
    }
    const line = makeLine(common, fates)
    this.#line = line
    const served = this.#serving
    const clock = this.#clock
    this.#serving = (async () => {
      await served
      if (!clock.isDead) await this.#serve(line)
    })()
    return line
  }

  #serve({ agent: end }: Line): Promise<void> {
    const clock = this.#clock
    end.mayAct = () => !clock.isDead
    const { guest } = this.#parts
    const host = writerSet({ agent: 'model agent', finders: [], writers: modelWriters({
      guest, clock, sessions: this.#sessions, troubleOf: (name) => this.troubleOf(name) }) })
    return serveHost(end, { host, clock })
  }

  /** Its end of the channel is closed; the guest hears of it, or, of a port, does not. */
  requestorDied(isTold: boolean): void {
    this.#line?.requestor.hangUp(isTold)
  }

  /** It is killed and started again: sessions end, and what was prepared is forgotten. */
  restart(): void {
    this.#parts.note('the agent of Stillpoint is restarted')
    this.#clock.kill()
    for (const [session, application] of this.#sessions) application.endSession(session)
    this.#sessions = new Map()
    this.#clock = new ProcessClock(this.#parts.common)
    const line = this.#line
    line?.agent.abandon()
    if (line === undefined) return
    if (this.#parts.channel === 'socket' || line.agent.isClosed) {
      line.agent.hangUp(true)
      this.#serving = Promise.resolve()
    } else this.#serving = this.#serve(line)
  }
}
