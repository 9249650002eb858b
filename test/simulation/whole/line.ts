/** The channel to the agent of Stillpoint: each message meets its fate on the way. */

import type { ByteChannel, ChannelListener } from '../../../src/channel/mod.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** After how many milliseconds a message arrives; twice, if there are two; lost, if none. */
export interface Fate {
  readonly arrivals: readonly number[]
  /** It may arrive before what was sent before it. */
  readonly overtakes: boolean
}

export type Fates = (text: string) => Fate

export interface Line {
  readonly requestor: LineEnd
  readonly agent: LineEnd
}

/** With the agent's end of an earlier line, if that is a port which is open still. */
export function makeLine(
  clock: VirtualClock, fates: Fates, agent = new LineEnd(clock, fates)): Line {
  const requestor = new LineEnd(clock, fates)
  requestor.other = agent
  agent.other = requestor
  return { requestor, agent }
}

export class LineEnd implements ByteChannel {
  readonly #clock: VirtualClock
  readonly #fates: Fates
  other: LineEnd | undefined
  /** False once whoever has this end is dead. */
  mayAct: () => boolean = () => true
  /** Runs what comes when its owner can. */
  whenRunning: (fn: () => void) => void = (fn) => fn()
  #listener: ChannelListener | undefined
  #early: (() => void)[] = []
  #isClosed = false
  #lastArrivalMs = 0

  constructor(clock: VirtualClock, fates: Fates) {
    this.#clock = clock
    this.#fates = fates
  }

  send(text: string): void {
    if (this.#isClosed || !this.mayAct()) return
    const { arrivals, overtakes } = this.#fates(text)
    for (const ms of arrivals) this.#deliver(ms, overtakes, (other) => other.#arrive(text))
  }

  #deliver(ms: number, overtakes: boolean, how: (other: LineEnd) => void): void {
    const nowMs = this.#clock.monotonicMs()
    const atMs = overtakes ? nowMs + ms : Math.max(this.#lastArrivalMs, nowMs + ms)
    if (!overtakes) this.#lastArrivalMs = atMs
    this.#clock.after(atMs - nowMs, () => {
      if (this.other !== undefined) how(this.other)
    })
  }

  #arrive(text: string): void {
    this.#whenHeard((listener) => { listener.onBytes(Buffer.from(text)) })
  }

  #whenHeard(tell: (listener: ChannelListener) => void): void {
    if (this.#isClosed) return
    const { whenRunning } = this
    if (this.#listener === undefined) this.#early.push(() => this.#whenHeard(tell))
    else whenRunning(() => { if (this.#listener !== undefined) tell(this.#listener) })
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    for (const hear of this.#early.splice(0)) hear()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Whoever listened is dead; what comes waits for the next. */
  abandon(): void {
    this.#listener = undefined
  }

  close(): void {
    if (this.#isClosed || !this.mayAct()) return
    this.hangUp(true)
    const listener = this.#listener
    if (listener !== undefined) queueMicrotask(() => listener.onEnd())
  }

  /** Ends it for this side; the other one is told, or hears nothing of it. */
  hangUp(isTold: boolean): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // A port that another has opened meanwhile does not end.
    if (isTold) this.#deliver(1, false, (other) => { if (other.other === this) other.#end() })
  }

  #end(): void {
    this.#whenHeard((listener) => {
      this.#isClosed = true
      listener.onEnd()
    })
  }
}
