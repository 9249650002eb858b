/**
 * The guardian: owns the agent's connection and releases the guest when the requestor does not.
 *
 * It thaws on request, at its deadlines, and when the requestor is gone; and it lets a machine run
 * again that the requestor stopped. A freeze may take effect long after it was given up, so a thaw
 * follows every freeze that was written.
 */

import { dirname } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { abortable, deadline } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { processStart } from '../../base/process-mark.ts'
import type { FreezeLimits } from '../../consistency/mod.ts'
import { AgentClient, saysFrozen, type OpenChannel } from './agent-client.ts'
import type { GuardianMessage, GuardianRequest, OpenedAgent, Release } from './protocol.ts'
import {
  machineRun, readRecord, removeRecord, writeRecord, type HoldSockets,
} from './record.ts'
import { resumeMachine, thawUntilShown, type ReleaseTimes } from './release.ts'

export interface GuardianPorts {
  readonly clock: Clock
  readonly times: ReleaseTimes
  /** The longest a machine stays stopped while its requestor lives; includes QEMU's flush. */
  readonly stopMs: number
  /** After a thaw the agent's connection is kept this long. */
  readonly idleMs: number
  readonly pid: number
  readonly send: (message: GuardianMessage) => void
  /** Says something that an operator must see. */
  readonly shout: (text: string) => void
  /** Kills the requestor, whose connection is in the way of resuming the machine. */
  readonly killRequestor: () => void
  /** How the agent is reached, if not by its unix socket. */
  readonly openChannel?: OpenChannel
}

interface Hold {
  /** `refused`: the agent answered the freeze with an error; `foreign`: others had frozen. */
  phase: 'pending' | 'held' | 'refused' | 'foreign' | 'recovered'
  timer: Disposable
  release: Promise<Release> | undefined
}

const COMMANDS_NEEDED = [
  'guest-fsfreeze-freeze', 'guest-fsfreeze-thaw', 'guest-fsfreeze-status', 'guest-get-fsinfo',
]
const NO_TIMER: Disposable = { [Symbol.dispose]: () => {} }
/** For answers of the agent outside the hold: its list of file systems, its version. */
const ANSWER_MS = 30_000

export class Guardian {
  readonly #ports: GuardianPorts
  #sockets: HoldSockets = { agent: undefined, qmp: undefined, guardianQmp: undefined }
  #recordFile = ''
  #nodePrefix = ''
  #agent: AgentClient | undefined
  #hold: Hold | undefined
  #frozenSinceMs: number | undefined
  #stoppedSinceMs: number | undefined
  #stopTimer: Disposable = NO_TIMER
  #idleTimer: Disposable = NO_TIMER
  #resuming: Promise<void> | undefined

  constructor(ports: GuardianPorts) {
    this.#ports = ports
  }

  /** Carries out one request of the requestor; what it returns is the value of the answer. */
  handle(request: GuardianRequest): Promise<unknown> {
    switch (request.do) {
      case 'open': return this.#open(request)
      case 'recover': return this.#recover(request)
      case 'file-systems': return this.#asked((agent, signal) => agent.fileSystems(signal))
      case 'guest': return this.#guest(request)
      case 'freeze': return this.#freeze(request.limits)
      case 'thaw': return this.#within(request.thawMs, this.#releaseHold(false))
      case 'stopping': return this.#stopping()
      case 'resumed': return this.#resumed()
      case 'close': return Promise.resolve()
      default: return request satisfies never
    }
  }

  /** What the requestor may leave behind in the machine, as `open` named it. */
  get leavings(): {
    readonly sockets: HoldSockets; readonly runDir: string; readonly nodePrefix: string } {
    const runDir = dirname(this.#recordFile)
    return { sockets: this.#sockets, runDir, nodePrefix: this.#nodePrefix }
  }

  /**
   * Releases all that is held, whether or not anybody listens; resolves when that is shown or
   * hopeless. Idempotent.
   */
  async end(): Promise<void> {
    this.#stopTimer[Symbol.dispose]()
    this.#idleTimer[Symbol.dispose]()
    await Promise.all([this.#resume(), this.#releaseHold(true)])
    await this.#agent?.[Symbol.asyncDispose]()
  }

  async #open(request: GuardianRequest & { do: 'open' }): Promise<OpenedAgent | null> {
    this.#sockets = request.sockets
    this.#recordFile = request.recordFile
    this.#nodePrefix = request.nodePrefix
    const { agent: path } = request.sockets
    if (path === undefined || request.answerMs === 0) return null
    const { clock } = this.#ports
    using limit = deadline(clock, request.answerMs, 'the agent')
    this.#agent = await AgentClient.connect(
      path, request.answerMs, clock, limit.signal, this.#ports.openChannel)
    const { version, enabledCommands } = await this.#agent.version(limit.signal)
    const hasStatus = enabledCommands.has('guest-fsfreeze-status')
    const status = hasStatus ? await this.#agent.status(limit.signal) : 'thawed'
    // A frozen agent reports most commands as disabled.
    const canFreeze =
      status === 'frozen' || COMMANDS_NEEDED.every((command) => enabledCommands.has(command))
    return { version, canFreeze, status }
  }

  /** Takes over what a record says is held, in its writer's place. */
  #recover(request: GuardianRequest & { do: 'recover' }): Promise<Release> {
    const { recordFile, limitMs } = request
    this.#nodePrefix = request.nodePrefix
    const record = readRecord(recordFile)
    if (record === undefined) return Promise.resolve({ state: 'not-frozen' })
    this.#recordFile = recordFile
    this.#sockets = record.sockets
    this.#frozenSinceMs = record.frozenSinceMs
    // Another run of the machine may be paused for its operator's reasons.
    const isSameRun = record.machineRun === machineRun(record.sockets)
    this.#stoppedSinceMs = isSameRun ? record.stoppedSinceMs : undefined
    this.#note()
    if (this.#frozenSinceMs !== undefined) {
      this.#hold = { phase: 'recovered', timer: NO_TIMER, release: undefined }
    }
    const released = Promise.all([this.#releaseHold(true), this.#resume()])
    return this.#within(limitMs, released.then(([release]) => release))
  }

  async #guest({ command, args }: GuardianRequest & { do: 'guest' }): Promise<unknown> {
    if (this.#hold === undefined) {
      return this.#asked((agent, signal) => agent.ask(command, args, signal))
    }
    throw new Fault('agent-refused', `${command} is not for while the guest is held`)
  }

  /** Something outside the hold. */
  async #asked(
    ask: (agent: AgentClient, signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
    const { clock, times } = this.#ports
    using limit = deadline(clock, ANSWER_MS, 'the agent')
    const { agent: path } = this.#sockets
    let isLentOut = this.#idleTimer !== NO_TIMER // before the hold it is not
    this.#idleTimer[Symbol.dispose]()
    try {
      if (this.#agent === undefined && path !== undefined) {
        isLentOut = true
        this.#agent = await AgentClient.connect(
          path, times.connectMs, clock, limit.signal, this.#ports.openChannel)
      }
      return await ask(this.#needAgent(), limit.signal)
    } finally {
      if (isLentOut) this.#letGoWhenIdle()
    }
  }

  /** A backup may read for hours: meanwhile the agent's one connection is for others. */
  #letGoWhenIdle(): void {
    this.#idleTimer[Symbol.dispose]()
    this.#idleTimer = this.#ports.clock.after(this.#ports.idleMs, () => {
      if (this.#hold !== undefined) return
      void this.#agent?.[Symbol.asyncDispose]()
      this.#agent = undefined
    })
  }

  async #freeze(limits: FreezeLimits): Promise<{ count: number }> {
    const agent = this.#needAgent()
    if (this.#hold !== undefined) {
      throw new Fault('freeze-failed', 'the guest is held already by this guardian')
    }
    const { clock } = this.#ports
    this.#frozenSinceMs = clock.nowMs()
    this.#note('durable') // before the first byte is sent
    const hold: Hold = { phase: 'pending', timer: NO_TIMER, release: undefined }
    this.#hold = hold
    using limit = deadline(clock, limits.freezeMs, 'the freeze')
    const answer = agent.freeze()
    hold.timer = clock.after(limits.freezeMs, () => void this.#releaseHold(true))
    try {
      const count = await abortable(answer, limit.signal)
      if (hold.release !== undefined) throw givenUp()
      hold.phase = 'held'
      hold.timer[Symbol.dispose]()
      hold.timer = clock.after(limits.holdMs, () => void this.#releaseHold(true))
      return { count }
    } catch (cause) {
      if (!isFault(cause, 'agent-refused')) {
        void this.#releaseHold(true)
        throw cause
      }
      hold.phase = saysFrozen(cause) ? 'foreign' : 'refused'
      throw new Fault('freeze-failed', cause.message, { cause })
    }
  }

  #needAgent(): AgentClient {
    if (this.#agent?.isOpen === true) return this.#agent
    throw new Fault('agent-unreachable', 'the connection to the agent is gone', { retry: 'later' })
  }

  /** The one release of the hold: whoever asks first decides whether it is early. */
  #releaseHold(early: boolean): Promise<Release> {
    const hold = this.#hold
    if (hold === undefined) return Promise.resolve({ state: 'not-frozen' })
    hold.release ??= this.#release(hold, early)
    return hold.release
  }

  async #release(hold: Hold, early: boolean): Promise<Release> {
    hold.timer[Symbol.dispose]()
    const release = await this.#thaw(hold, early)
    if (release.state === 'unknown') {
      this.#ports.shout(`the guest behind ${this.#sockets.agent} may still be FROZEN: ` +
        `${release.detail}. Run guest-fsfreeze-thaw through its agent, or restart the guest.`)
    } else {
      this.#frozenSinceMs = undefined
      this.#note()
    }
    this.#hold = undefined
    this.#letGoWhenIdle()
    return release
  }

  async #thaw(hold: Hold, early: boolean): Promise<Release> {
    const { agent: agentPath } = this.#sockets
    if (hold.phase === 'foreign' || agentPath === undefined) return { state: 'not-frozen' }
    let said = 0
    const { clock, times, send } = this.#ports
    const agent = this.#agent
    this.#agent = undefined
    const shown = await thawUntilShown({
      agentPath,
      sockets: this.#sockets,
      openChannel: this.#ports.openChannel,
      agent: agent?.isOpen === true ? agent : undefined,
      askFirst: hold.phase === 'refused' || hold.phase === 'recovered',
      early,
      onIssued: () => { if (said++ === 0) send({ event: 'thaw-issued', early }) },
      onAnswered: () => { if (said++ === 1) send({ event: 'thaw-answered' }) },
    }, times, clock)
    this.#agent = shown.agent
    return shown.release
  }

  /** `release`, or `unknown` if it is not shown by then; it goes on all the same. */
  async #within(limitMs: number, release: Promise<Release>): Promise<Release> {
    using limit = deadline(this.#ports.clock, limitMs, 'the thaw')
    try {
      return await abortable(release, limit.signal)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      return { state: 'unknown', detail: `${detail}; the guardian goes on trying` }
    }
  }

  async #stopping(): Promise<void> {
    const { clock, stopMs } = this.#ports
    this.#stoppedSinceMs = clock.nowMs()
    this.#note()
    this.#stopTimer = clock.after(stopMs, () => this.#endStop())
  }

  async #resumed(): Promise<void> {
    this.#stopTimer[Symbol.dispose]()
    this.#stoppedSinceMs = undefined
    this.#note()
  }

  /** The requestor lives and does not let the machine run: it does not matter why. */
  #endStop(): void {
    if (this.#sockets.guardianQmp === undefined) {
      this.#ports.shout('the machine stood still too long: its requestor is killed')
      this.#ports.killRequestor()
    }
    void this.#resume()
  }

  async #resume(): Promise<void> {
    const path = this.#sockets.guardianQmp ?? this.#sockets.qmp
    if (this.#stoppedSinceMs === undefined || path === undefined) return
    this.#resuming ??= (async () => {
      const { clock, times, shout } = this.#ports
      const found = await resumeMachine(path, this.#sockets, times, clock)
      if (found === 'unknown') {
        return shout(`the machine behind ${path} may still be STOPPED: run cont`)
      }
      this.#stoppedSinceMs = undefined
      this.#note()
    })()
    await this.#resuming
  }

  /** Makes the record say what is held now. */
  #note(how: 'durable' | 'quick' = 'quick'): void {
    if (this.#frozenSinceMs === undefined && this.#stoppedSinceMs === undefined) {
      return removeRecord(this.#recordFile)
    }
    const { pid } = this.#ports
    writeRecord(this.#recordFile, {
      version: 1,
      pid,
      pidStart: processStart(pid),
      sockets: this.#sockets,
      machineRun: machineRun(this.#sockets),
      frozenSinceMs: this.#frozenSinceMs,
      stoppedSinceMs: this.#stoppedSinceMs,
    }, how === 'durable')
  }
}

function givenUp(): Fault {
  return new Fault('freeze-failed', 'the freeze was given up before the agent acknowledged it')
}
