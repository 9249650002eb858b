/** Thaws a guest and resumes a machine, again and again until it is shown to be done. */

import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { isJsonObject } from '../../base/json.ts'
import { QmpClient } from '../qemu/qmp-client.ts'
import { AgentClient, type OpenChannel } from './agent-client.ts'
import { isMachineGone } from './machine-gone.ts'
import type { Release } from './protocol.ts'
import type { HoldSockets } from './record.ts'

export interface ReleaseTimes {
  /** For a connection to be answered. */
  readonly connectMs: number
  /** For a thaw to be answered before the connection is made anew: hooks may take this long. */
  readonly patienceMs: number
  /** Between two tries. */
  readonly pauseMs: number
  /** Until nobody can be expected to answer any more. */
  readonly keepTryingMs: number
}

export const RELEASE_TIMES: ReleaseTimes = {
  connectMs: 2_000,
  patienceMs: 30_000, // a hook of 15 s was seen; a second thaw harms nothing
  pauseMs: 200, // well within the two seconds that a thaw may take to be issued
  keepTryingMs: 15 * 60_000,
}

export interface ThawJob {
  readonly agentPath: string
  /** All sockets of the machine: it is gone only if nobody is behind any of them. */
  readonly sockets: HoldSockets
  readonly openChannel: OpenChannel | undefined
  /** A connection to use first; closed when it proves useless. */
  readonly agent: AgentClient | undefined
  /** Ask before the first thaw: where a thaw may not be needed, hooks should not run. */
  readonly askFirst: boolean
  readonly early: boolean
  readonly onIssued: () => void
  readonly onAnswered: () => void
}

export interface ShownRelease {
  readonly release: Release
  /** The connection that served last, handed back open. */
  readonly agent: AgentClient | undefined
}

const NEVER = new AbortController().signal

/**
 * Issues thaws until the agent says that it is thawed. Where a freeze is under way the first thaw
 * waits in the channel and is carried out right after it. Never throws; resolves with `unknown`
 * after `keepTryingMs`.
 */
export async function thawUntilShown(
  job: ThawJob, times: ReleaseTimes, clock: Clock): Promise<ShownRelease> {
  const endMs = clock.monotonicMs() + times.keepTryingMs
  let { agent, askFirst } = job
  let count: number | undefined
  for (;;) {
    let detail = 'the agent says that file systems are still frozen'
    try {
      agent ??= await AgentClient.connect(
        job.agentPath, times.patienceMs, clock, NEVER, job.openChannel)
      if (askFirst && await isThawed(agent, times, clock)) {
        return { agent, release: thawed(count, job) }
      }
      askFirst = true
      count = await thawOnce(agent, job, times, clock, count)
      if (await isThawed(agent, times, clock)) return { agent, release: thawed(count, job) }
    } catch (error) {
      await agent?.[Symbol.asyncDispose]()
      agent = undefined
      if (await isMachineGone(job.sockets)) return { agent, release: { state: 'not-frozen' } }
      detail = error instanceof Error ? error.message : String(error)
    }
    if (clock.monotonicMs() >= endMs) return { agent, release: { state: 'unknown', detail } }
    await clock.sleep(times.pauseMs, NEVER)
  }
}

/** Where no thaw of ours was answered the guest was not frozen, or others thawed it. */
function thawed(count: number | undefined, job: ThawJob): Release {
  return count === undefined && job.askFirst
    ? { state: 'not-frozen' } : { state: 'thawed', count, early: job.early }
}

/** The count so far plus what this thaw states; a refusal (a failing hook) is no count. */
async function thawOnce(
  agent: AgentClient, job: ThawJob, times: ReleaseTimes, clock: Clock, before: number | undefined,
): Promise<number | undefined> {
  using limit = deadline(clock, times.patienceMs, 'the thaw')
  const answer = agent.thaw()
  job.onIssued()
  try {
    const count = await abortable(answer, limit.signal)
    job.onAnswered()
    return (before ?? 0) + count
  } catch (error) {
    // Measured: with a hook that fails the thaw is refused, yet the file systems are thawed.
    if (!isFault(error, 'agent-refused')) throw error
    job.onAnswered()
    return before
  }
}

async function isThawed(agent: AgentClient, times: ReleaseTimes, clock: Clock): Promise<boolean> {
  using limit = deadline(clock, times.patienceMs, 'the status of the freeze')
  return await agent.status(limit.signal) === 'thawed'
}

/** How a machine that we stopped was found when it was to run again. */
export type Resumption = 'running' | 'other-state' | 'gone' | 'unknown'

/**
 * Lets the machine behind `qmpPath`, one of its `sockets`, run if it is paused. Waits for the
 * socket while another client holds it: that of a dead requestor is closed by its kernel. Never
 * throws.
 */
export async function resumeMachine(
  qmpPath: string, sockets: HoldSockets, times: ReleaseTimes, clock: Clock): Promise<Resumption> {
  const endMs = clock.monotonicMs() + times.keepTryingMs
  for (;;) {
    try {
      using limit = deadline(clock, times.connectMs * 2, 'resuming the machine')
      await using client = await QmpClient.connect(qmpPath, clock, limit.signal,
        { greetingMs: times.connectMs, commandMs: times.connectMs })
      const status = statusOf(await client.execute('query-status', {}, limit.signal))
      if (status === 'running') return 'running'
      if (status !== 'paused') return 'other-state'
      await client.execute('cont', {}, limit.signal)
    } catch {
      if (await isMachineGone(sockets)) return 'gone'
      if (clock.monotonicMs() >= endMs) return 'unknown'
      await clock.sleep(times.pauseMs, NEVER)
    }
  }
}

/** RunState (QMP Reference Manual): the states in which a machine may be. */
const STATES: ReadonlySet<unknown> = new Set([
  'running', 'paused', 'debug', 'inmigrate', 'internal-error', 'io-error', 'postmigrate',
  'prelaunch', 'finish-migrate', 'restore-vm', 'save-vm', 'shutdown', 'suspended', 'watchdog',
  'guest-panicked', 'colo', 'preconfig',
])

/** An answer without a state says nothing: asked again, it must not pass for another state. */
function statusOf(value: unknown): unknown {
  const status = isJsonObject(value) ? value['status'] : undefined
  if (STATES.has(status)) return status
  throw new Fault('platform-protocol', 'QEMU answered query-status without a state that is known')
}
