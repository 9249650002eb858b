/** A guardian that is replaced when it dies while something is held. */

import type { FreezeLimits } from '../../consistency/mod.ts'
import type { Clock } from '../../base/clock.ts'
import { parseFileSystems, type AgentFileSystem } from './agent-file-systems.ts'
import { startGuardian, type GuardianSettings, type StartGuardian } from './guardian-process.ts'
import {
  parseCount, parseOpenedAgent, parseRelease, type GuestCommand, type OpenedAgent, type Release,
} from './protocol.ts'
import { isGuardianAlive, readRecord, type HoldSockets } from './record.ts'

export interface GuardOptions {
  readonly sockets: HoldSockets
  readonly recordFile: string
  /** Block nodes named like this are removed when the requestor dies; '' for none. */
  readonly nodePrefix: string
  readonly clock: Clock
  readonly settings: GuardianSettings
  /** How one is started, if not as a process. */
  readonly start?: StartGuardian
}

/** Added to the guardian's own limits: past them it hangs. Well under the two seconds promised. */
const GRACE_MS = 1_000
/** For a replacement to show that the guest is thawed, before the requestor goes on without. */
const RECOVER_MS = 30_000
/** Replacements that die in their turn before somebody else has to look. */
const MAX_REPLACEMENTS = 5
const ANSWER_MS = 31_000

/** The guardian's events of a hold, by the caller's monotonic clock. */
export interface HoldEvents {
  onThawIssued(early: boolean): void
  onThawAnswered(): void
}

export class Guard implements AsyncDisposable {
  readonly #options: GuardOptions
  #guardian: ReturnType<StartGuardian>
  #recovery: Promise<Release> | undefined
  #isHolding = false
  #isDisposed = false

  constructor(options: GuardOptions) {
    this.#options = options
    this.#guardian = this.#start()
  }

  #start(): ReturnType<StartGuardian> {
    const { start = startGuardian, clock, settings } = this.#options
    const guardian = start(clock, settings)
    void guardian.ended.then(() => { if (this.#isHolding) void this.recover() })
    return guardian
  }

  /** The process id of the guardian at work. */
  get pid(): number {
    return this.#guardian.pid
  }

  get isAlive(): boolean {
    return this.#guardian.isAlive
  }

  /**
   * Tells the guardian what it guards. The agent's state; null where there is no agent, or, with
   * `answerMs` 0, none is to be asked. Faults: `agent-*`, after which it guards all the same;
   * `guardian-failed`.
   */
  async open(answerMs: number): Promise<OpenedAgent | null> {
    const { sockets, recordFile, nodePrefix } = this.#options
    const value = await this.#guardian.ask(
      { do: 'open', sockets, recordFile, nodePrefix, answerMs }, answerMs + 10 * GRACE_MS)
    return value === null ? null : parseOpenedAgent(value)
  }

  async fileSystems(): Promise<readonly AgentFileSystem[]> {
    const listed = await this.#guardian.ask({ do: 'file-systems' }, ANSWER_MS)
    return parseFileSystems(listed)
  }

  /** A command of the agent, foreign in what it returns. Faults: `agent-*`, `guardian-failed`. */
  guest(command: GuestCommand, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#guardian.ask({ do: 'guest', command, args }, ANSWER_MS)
  }

  /** Faults: `freeze-failed`, `agent-*`, `timed-out`, `guardian-failed`. */
  async freeze(limits: FreezeLimits, events: HoldEvents): Promise<{ count: number }> {
    this.#isHolding = true
    this.#guardian.onEvent((event) => {
      if (event.event === 'thaw-issued') events.onThawIssued(event.early)
      else events.onThawAnswered()
    })
    const value = await this.#guardian.ask({ do: 'freeze', limits }, limits.freezeMs + GRACE_MS)
    return parseCount(value)
  }

  /** Never throws. A release by a replacement is `early`: nobody knows what was held how long. */
  async thaw(thawMs: number): Promise<Release> {
    let release: Release
    try {
      release = this.#recovery === undefined
        ? parseRelease(await this.#guardian.ask({ do: 'thaw', thawMs }, thawMs + GRACE_MS))
        : await this.#recovery
    } catch {
      release = await this.recover()
    }
    // Whoever goes on trying must be replaced too if it dies.
    this.#isHolding = release.state === 'unknown'
    if (this.#isHolding) this.#recovery = undefined
    return release
  }

  /** Says that the machine is about to be stopped: only then may it. Faults: `guardian-failed`. */
  async stopping(): Promise<void> {
    await this.#guardian.ask({ do: 'stopping' }, 2 * GRACE_MS)
  }

  /** Says that the machine runs again. Never throws: the record is settled with the next one. */
  async resumed(): Promise<void> {
    try {
      await this.#guardian.ask({ do: 'resumed' }, 2 * GRACE_MS)
    } catch {
      await this.recover()
    }
  }

  /** Starts a guardian that releases what the record says is held. Never throws. */
  recover(): Promise<Release> {
    this.#recovery ??= this.#replace(MAX_REPLACEMENTS).then(async (release) => {
      // Started too late for the guard's disposal: it would keep the program from ending.
      if (this.#isDisposed) await this.#guardian[Symbol.asyncDispose]()
      return release
    })
    return this.#recovery
  }

  async #replace(tries: number): Promise<Release> {
    await this.#guardian.ended // a guardian that lives must not be helped
    const { recordFile, nodePrefix } = this.#options
    try {
      this.#guardian = this.#start()
      const value = await this.#guardian.ask(
        { do: 'recover', recordFile, nodePrefix, limitMs: RECOVER_MS },
        RECOVER_MS + 10 * GRACE_MS)
      return parseRelease(value)
    } catch (error) {
      if (!this.#guardian.isAlive && tries > 1) return this.#replace(tries - 1)
      return { state: 'unknown', detail: error instanceof Error ? error.message : String(error) }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#recovery
    this.#isHolding = false
    this.#isDisposed = true
    await this.#guardian[Symbol.asyncDispose]()
    // One that still thaws is left to it; if it died over that, its record is there still.
    const record = readRecord(this.#options.recordFile)
    if (record !== undefined && !isGuardianAlive(record)) await this.recover()
  }
}
