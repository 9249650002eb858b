/**
 * The writer of PostgreSQL: contract `recoverable`. Its freeze locks nothing; it asks for a
 * checkpoint before the hold, records where the log stood then and at the freeze, and shows that
 * the same server ran from there to the thaw (docs/operations/databases.md).
 */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  DiscoveredApplication, PreparedWriter, Writer, WriterLimits,
} from '../../consistency/mod.ts'
import { accountName } from '../account-name.ts'
import { preparedWriter, type HoldSteps } from '../prepared-writer.ts'
import { statementOf, type SqlSession } from '../sql-session.ts'
import { stillRunning } from '../still-running.ts'
import { findClusters, type Cluster } from './clusters.ts'
import {
  askSettings, askState, checkPlaces, isBefore, type ServerState,
} from './questions.ts'
import { connectPostgres } from './session.ts'

export interface PostgresLimits extends WriterLimits {
  readonly connectMs: number
  /** For one question outside the hold. */
  readonly askMs: number
  /** For the checkpoint, which writes out all that is changed in memory. */
  readonly checkpointMs: number
}

export interface PostgresOptions {
  readonly clock: Clock
  readonly limits?: Partial<PostgresLimits>
  /**
   * The role to connect as, under our own account; `pg_ident.conf` must map it. Without, we connect
   * as the account that the server runs as, under the role of the same name.
   */
  readonly role?: string
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
  /** Default `/etc/passwd`. */
  readonly passwdFile?: string
}

const DEFAULT_LIMITS: PostgresLimits = {
  connectMs: 10_000,
  askMs: 10_000,
  checkpointMs: 300_000, // a large cache on slow disks takes minutes; nothing is held meanwhile
  freezeMs: 5000, // one question over an open session
  holdMs: 60_000, // nothing waits for us: this bounds what is recorded, not what is suffered
  thawMs: 5000,
}

export function postgresWriter(options: PostgresOptions): Writer {
  const { clock, procRoot = '/proc' } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  return {
    name: 'postgres',
    async discover(signal) {
      const { clusters, hidden } = await findClusters(procRoot, signal)
      return [...clusters.map(({ application }) => application), ...hidden]
    },
    async prepare(application, signal) {
      const { clusters, hidden } = await findClusters(procRoot, signal)
      if (hidden.some(({ name }) => name === application.name)) {
        throw new Fault('writer-failed', `${printable(application.name)} runs as another account`, {
          advice: 'Run the agent as root, or as that account.' })
      }
      const cluster = stillRunning(
        clusters.find((it) => it.application.name === application.name), application)
      const session = await connect(cluster, options, limits, signal)
      try {
        return await prepareSession(application, session, { clock, limits, signal })
      } catch (error) {
        session.destroy()
        throw error
      }
    },
  }
}

async function connect(
  { address, uid, application: { name, data } }: Cluster, options: PostgresOptions,
  limits: PostgresLimits, signal: AbortSignal): Promise<SqlSession> {
  if (data.state !== 'located') { // it might be another server that answers at its address
    throw new Fault('writer-failed', `${printable(name)} cannot be asked: ${data.detail}`)
  }
  if (address === undefined) {
    throw new Fault('writer-failed', `${printable(name)} listens on no unix socket in a folder`, {
      advice: 'Set unix_socket_directories in postgresql.conf.' })
  }
  const ours = process.geteuid?.() ?? uid
  const as = options.role === undefined
    ? { role: await accountName(uid, options.passwdFile ?? '/etc/passwd'), uid }
    : { role: options.role, uid: ours }
  return connectPostgres({ ...address, ...as }, options.clock, limits.connectMs, signal)
}

async function prepareSession(
  application: DiscoveredApplication, session: SqlSession,
  { clock, limits, signal }: { clock: Clock; limits: PostgresLimits; signal: AbortSignal },
): Promise<PreparedWriter> {
  const { askMs, checkpointMs, freezeMs, holdMs, thawMs } = limits
  const settings = await askSettings(session, askMs, signal)
  const places = application.data.state === 'located' ? application.data.places : []
  await checkPlaces(session, settings, new Set(places.map(({ path }) => path)), askMs, signal)
  const before = await askState(session, askMs, signal)
  await session.query('checkpoint', checkpointMs, signal)
  const after = await askState(session, askMs, signal)
  // A standby's checkpoint can only take up one of its primary's, which lies further back.
  const beforeCheckpoint = before.isStandby ? after.redo : before.inserted
  if (after.identity !== before.identity || isBefore(after.redo, beforeCheckpoint)) {
    throw new Fault('writer-failed', 'the checkpoint did not do what it should', { retry: 'later' })
  }
  const steps = new PostgresHold(session, limits, after, beforeCheckpoint, settings.version)
  return preparedWriter({
    application, contract: { kind: 'recoverable', durability: settings.durability },
    limits: { freezeMs, holdMs, thawMs },
  }, steps, clock)
}

class PostgresHold implements HoldSteps {
  readonly #session: SqlSession
  readonly #limits: PostgresLimits
  readonly #prepared: ServerState
  readonly #beforeCheckpoint: string
  readonly #version: string
  #atFreeze: string | undefined

  constructor(
    session: SqlSession, limits: PostgresLimits, prepared: ServerState, beforeCheckpoint: string,
    version: string) {
    this.#session = session
    this.#limits = limits
    this.#prepared = prepared
    this.#beforeCheckpoint = beforeCheckpoint
    this.#version = version
  }

  async freeze(): ReturnType<HoldSteps['freeze']> {
    const state = await askState(this.#session, this.#limits.freezeMs)
    this.#checkSame(state, this.#beforeCheckpoint)
    if (state.tablespaces !== this.#prepared.tablespaces) {
      throw new Fault('writer-failed', 'a tablespace was made or dropped since it was prepared', {
        retry: 'now' })
    }
    this.#atFreeze = state.durable
    return {
      statement: `PostgreSQL ${this.#version}, ${state.isStandby ? 'standby' : 'primary'}, ` +
        `nothing locked: ${statementOf(state.row)}`,
      positions: { beforeCheckpoint: this.#beforeCheckpoint, atFreeze: state.durable },
    }
  }

  async thaw(): ReturnType<HoldSteps['thaw']> {
    if (this.#atFreeze === undefined) return this.letGo('the freeze was not acknowledged')
    const state = await askState(this.#session, this.#limits.thawMs)
    this.#checkSame(state, this.#atFreeze)
    return { state: 'thawed', heldThroughout: true, statement: statementOf(state.row) }
  }

  /** Nothing was locked, so it is thawed; but nobody said that it ran on all the while. */
  letGo(why: string): Awaited<ReturnType<HoldSteps['thaw']>> {
    this.#session.destroy()
    const statement = `nothing was locked; not confirmed: ${why}`
    return { state: 'thawed', heldThroughout: false, statement }
  }

  complete(): ReturnType<HoldSteps['complete']> {
    return Promise.resolve({ statement: 'PostgreSQL keeps no account of this kind of backup' })
  }

  async close(): Promise<void> {
    await this.#session[Symbol.asyncDispose]()
  }

  #checkSame(state: ServerState, from: string): void {
    if (state.identity !== this.#prepared.identity || isBefore(state.durable, from)) {
      throw new Fault('writer-failed', 'the server is not the one that was prepared', {
        retry: 'later', advice: 'It was restarted or promoted meanwhile: run the backup again.' })
    }
  }
}
