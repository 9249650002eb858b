/**
 * The writer of Redis and Valkey: contract `held`. From freeze to thaw the server lets no write
 * begin, and what it would read at a start is on disk (docs/operations/databases.md).
 */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  DiscoveredApplication, PreparedWriter, Writer, WriterLimits,
} from '../../consistency/mod.ts'
import { preparedWriter } from '../prepared-writer.ts'
import { stillRunning } from '../still-running.ts'
import { syncFiles } from './files.ts'
import { isIdle, RedisHold } from './hold.ts'
import {
  askSettings, askState, WITNESS, type RedisSettings, type RedisState,
} from './questions.ts'
import {
  describe, findServers, KEEPS_NOTHING, reach, type ReachOptions, type RedisServer,
} from './servers.ts'
import { RedisSession, type RedisAccount } from './session.ts'

export interface RedisLimits extends WriterLimits {
  readonly connectMs: number
  /** For one question outside the hold. */
  readonly askMs: number
  /** For a save or rewrite to end that was under way before. */
  readonly idleMs: number
  /** The limit of the freeze where all of it is saved inside the hold. */
  readonly saveMs: number
}

export interface RedisOptions {
  readonly clock: Clock
  readonly limits?: Partial<RedisLimits>
  /** Whom to be with the server of that name, `redis 6379`; none where no password is set. */
  readonly account?: (name: string) => RedisAccount | undefined
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
}

const DEFAULT_LIMITS: RedisLimits = {
  connectMs: 5000,
  askMs: 5000,
  idleMs: 60_000,
  saveMs: 15_000, // clients that write wait that long
  freezeMs: 5000, // a sync of what a second of writes left
  holdMs: 10_000,
  thawMs: 5000,
}

interface Context {
  readonly procRoot: string
  readonly limits: RedisLimits
  readonly clock: Clock
  readonly reachOf: (name: string) => ReachOptions
}

export function redisWriter(options: RedisOptions): Writer {
  const { clock, procRoot = '/proc' } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const { connectMs, askMs } = limits
  const context: Context = {
    procRoot, limits, clock,
    reachOf: (name) => ({ clock, connectMs, askMs, account: options.account?.(name) }),
  }
  return {
    name: 'redis',
    async discover(signal) {
      const found: DiscoveredApplication[] = []
      for (const server of await findServers(procRoot, signal)) {
        found.push(await describe(server, procRoot, context.reachOf(server.name), signal))
      }
      return found
    },
    async prepare(application, signal) {
      const server = stillRunning((await findServers(procRoot, signal))
        .find(({ name }) => name === application.name), application)
      return connectAndPrepare(application, server, context, signal)
    },
  }
}

interface Sessions {
  readonly session: RedisSession
  readonly witness: RedisSession
  readonly spare: RedisSession
}

async function connectAndPrepare(
  application: DiscoveredApplication, server: RedisServer, context: Context, signal: AbortSignal,
): Promise<PreparedWriter> {
  const options = context.reachOf(server.name)
  const opened: RedisSession[] = []
  try {
    const { session, address } = await reach(server, options, signal)
    opened.push(session)
    const another = async (): Promise<RedisSession> => {
      const { account, clock, connectMs } = options
      const it = await RedisSession.connect(address, account, clock, connectMs, signal)
      opened.push(it)
      return it
    }
    const sessions = { session, witness: await another(), spare: await another() }
    return await prepareSessions(application, sessions, context, signal)
  } catch (error) {
    for (const session of opened) session.destroy()
    throw error
  }
}

async function prepareSessions(
  application: DiscoveredApplication, sessions: Sessions,
  { limits, clock }: Context, signal: AbortSignal): Promise<PreparedWriter> {
  const { askMs, holdMs, thawMs } = limits
  const { session } = sessions
  const settings = await askSettings(session, askMs, signal)
  const freezeMs = settings.persistence === 'rdb' ? limits.saveMs : limits.freezeMs
  checkSettings(settings, application)
  checkVersion(await askState(session, askMs, signal))
  await checkRights(sessions, askMs, signal)
  const state = await whenIdle(session, { limits, clock }, signal)
  checkState(state, settings, freezeMs)
  // Also shows that we may; what is on disk already need not be written inside the hold.
  if (settings.persistence === 'aof') await syncFiles(settings)
  const holdLimits = { freezeMs, holdMs, thawMs }
  return preparedWriter(
    { application, contract: { kind: 'held' }, limits: holdLimits },
    new RedisHold({ ...sessions, settings, prepared: state, limits: holdLimits, clock }), clock)
}

function checkSettings(settings: RedisSettings, { name, data }: DiscoveredApplication): void {
  if (settings.persistence === 'nothing') throw new Fault('writer-failed', KEEPS_NOTHING)
  if (data.state !== 'located') {
    throw new Fault('writer-failed',
      `it is not known where the data of ${printable(name)} lies: ${data.detail}`)
  }
}

/** Older ones can only pause every command, ours that end the pause among them. */
function checkVersion(state: RedisState): void {
  const version = state.text('redis_version', /^\d{1,4}\.\d{1,4}(\.|$)/)
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 6 || (major === 6 && minor >= 2)) return
  throw new Fault('writer-failed', `Redis ${printable(version, 20)} cannot pause writes alone`, {
    advice: 'Redis 6.2 is the first that can: bring it up to date.' })
}

/** Nobody keeps writes out already, and we may end a pause: without that, none is begun. */
async function checkRights(
  { session, witness }: Sessions, askMs: number, signal: AbortSignal): Promise<void> {
  try {
    await witness.ask(WITNESS, askMs, signal)
  } catch (cause) {
    if (signal.aborted || witness.isOpen) throw cause
    throw new Fault('writer-failed', 'Redis let no script run, or its writes are paused already', {
      cause, retry: 'later' })
  }
  await session.ask(['CLIENT', 'UNPAUSE'], askMs, signal)
}

async function whenIdle(
  session: RedisSession, { limits, clock }: Pick<Context, 'limits' | 'clock'>, signal: AbortSignal,
): Promise<RedisState> {
  const startMs = clock.monotonicMs()
  for (let waitMs = 20; ; waitMs = Math.min(2 * waitMs, 500)) {
    const state = await askState(session, limits.askMs, signal)
    if (isIdle(state)) return state
    if (clock.monotonicMs() - startMs > limits.idleMs) {
      throw new Fault('writer-timeout', `Redis still saved or rewrote after ${limits.idleMs} ms`, {
        retry: 'later' })
    }
    await clock.sleep(waitMs, signal)
  }
}

function checkState(state: RedisState, { persistence }: RedisSettings, freezeMs: number): void {
  if (state.isOn('loading')) {
    throw new Fault('writer-failed', 'Redis is still loading its data', { retry: 'later' })
  }
  if (state.isOn('aof_enabled') !== (persistence === 'aof')) {
    throw new Fault('writer-failed', 'Redis does not do what its setting appendonly says', {
      retry: 'later' })
  }
  state.text('run_id', /^[0-9a-f]{40}$/)
  for (const name of ['master_repl_offset', 'rdb_changes_since_last_save']) state.number(name)
  const lastSaveMs = state.number('rdb_last_bgsave_time_sec') * 1000
  if (persistence === 'rdb' && lastSaveMs > freezeMs) {
    throw new Fault('writer-failed',
      `its last save took ${lastSaveMs} ms, too long to keep writes out for`, {
        advice: 'Turn appendonly on, or raise the limit saveMs of the writer.' })
  }
}
