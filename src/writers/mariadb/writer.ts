/**
 * The writer of MariaDB and MySQL: contract `held`. From freeze to thaw one session keeps every
 * commit out (docs/operations/databases.md).
 */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type {
  DiscoveredApplication, PreparedWriter, Writer, WriterLimits,
} from '../../consistency/mod.ts'
import { preparedWriter } from '../prepared-writer.ts'
import type { SqlSession } from '../sql-session.ts'
import { stillRunning } from '../still-running.ts'
import {
  BACKUP_STAGES, MariadbHold, READ_LOCK, sessionLimits, type LockMethod,
} from './hold.ts'
import { askConnectionId, askPosition, askVersion, type ServerVersion } from './questions.ts'
import {
  describe, findFiles, findServers, socketOf, type MariadbServer, type ServerFiles,
} from './servers.ts'
import { connectMariadb } from './session.ts'

export interface MariadbLimits extends WriterLimits {
  readonly connectMs: number
  /** For one question outside the hold. */
  readonly askMs: number
  /** For what the preparation writes out: the tables of other engines that nobody uses. */
  readonly flushMs: number
}

export interface MariadbOptions {
  readonly clock: Clock
  readonly limits?: Partial<MariadbLimits>
  /** The user to connect as, and the account of this system that it is; default root, as we are. */
  readonly user?: { readonly name: string; readonly uid: number }
  /** `read-lock` where the stages of MariaDB are not wanted; else they are used where they are. */
  readonly lock?: 'automatic' | 'read-lock'
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
}

const DEFAULT_LIMITS: MariadbLimits = {
  connectMs: 10_000,
  askMs: 10_000,
  flushMs: 60_000,
  freezeMs: 5000, // while it waits for a long statement, others may wait behind it
  holdMs: 10_000, // what a client that commits can be asked to bear
  thawMs: 5000,
}
/** From the preparation to the freeze, while other writers and the disks prepare. */
const PREPARED_IDLE_SECONDS = 3600

export function mariadbWriter(options: MariadbOptions): Writer {
  const { procRoot = '/proc' } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const context = { ...options, procRoot, limits }
  return {
    name: 'mariadb',
    async discover(signal) {
      const found: DiscoveredApplication[] = []
      for (const server of await findServers(procRoot, signal)) {
        found.push(describe(server.name, await lookAt(server, context, signal)))
      }
      return found
    },
    async prepare(application, signal) {
      const server = stillRunning((await findServers(procRoot, signal))
        .find(({ name }) => name === application.name), application)
      const holder = await connect(server, context, signal)
      try {
        const guard = await connect(server, context, signal)
        try {
          return await prepareSessions(application, server, { holder, guard }, context, signal)
        } catch (error) {
          guard.destroy()
          throw error
        }
      } catch (error) {
        holder.destroy()
        throw error
      }
    },
  }
}

interface Context extends MariadbOptions {
  readonly procRoot: string
  readonly limits: MariadbLimits
}

async function connect(
  server: MariadbServer, { procRoot, user, clock, limits }: Context, signal: AbortSignal,
): Promise<SqlSession> {
  const socketPath = await socketOf(server, procRoot)
  const { name, uid } = user ?? { name: 'root', uid: process.geteuid?.() ?? 0 }
  return connectMariadb({ socketPath, user: name, uid }, clock, limits.connectMs, signal)
}

/** The server's files as it states them; a server that cannot be asked is known all the same. */
async function lookAt(
  server: MariadbServer, context: Context, signal: AbortSignal,
): Promise<ServerFiles | { readonly error: unknown }> {
  try {
    await using session = await connect(server, context, signal)
    return await findFiles(server, session, context.procRoot, context.limits.askMs, signal)
  } catch (error) {
    return { error }
  }
}

async function prepareSessions(
  application: DiscoveredApplication, server: MariadbServer,
  { holder, guard }: { readonly holder: SqlSession; readonly guard: SqlSession },
  { clock, limits, lock = 'automatic', procRoot }: Context, signal: AbortSignal,
): Promise<PreparedWriter> {
  const { askMs, flushMs, freezeMs, holdMs, thawMs } = limits
  const version = await askVersion(holder, askMs, signal)
  for (const session of [holder, guard]) {
    await session.query(sessionLimits(version, flushMs, PREPARED_IDLE_SECONDS), askMs, signal)
  }
  const files = await findFiles(server, guard, procRoot, askMs, signal)
  checkPlaces(application, files)
  const connectionId = await askConnectionId(holder, askMs)
  const method = methodOf(version, lock)
  const holdLimits = { freezeMs, holdMs, thawMs }
  try {
    for (const statement of method.prepare) await holder.query(statement, flushMs, signal)
    const hold = new MariadbHold({
      holder, guard, connectionId, method, version, remarks: remarksOf(files),
      flushesLater: files.settings.durability['innodb_flush_log_at_trx_commit'] === '0',
      atPrepare: await askPosition(holder, version, askMs, signal), limits: holdLimits, clock,
    })
    return preparedWriter(
      { application, contract: { kind: 'held' }, limits: holdLimits }, hold, clock)
  } catch (error) {
    // A statement that waits for a lock does not notice that its client has gone.
    await guard.query(`kill ${connectionId}`, thawMs).catch(() => [])
    throw error
  }
}

function methodOf({ flavour, number }: ServerVersion, lock: 'automatic' | 'read-lock'): LockMethod {
  return lock === 'automatic' && flavour === 'MariaDB' && number >= 1004
    ? BACKUP_STAGES : READ_LOCK
}

/** Data in a place that discovery did not tell of would not be looked for in the set. */
function checkPlaces({ data }: DiscoveredApplication, { data: now }: ServerFiles): void {
  if (data.state !== 'located' || now.state !== 'located') {
    throw new Fault('writer-failed', 'it is not known where all of its data lies')
  }
  const known = new Set(data.places.map(({ path }) => path))
  if (now.places.some(({ path }) => !known.has(path))) {
    throw new Fault('writer-failed',
      'the server keeps data in a place that was not found before', { retry: 'now' })
  }
}

function remarksOf({ settings, folder }: ServerFiles): string {
  const values = Object.entries(settings.durability).map(([name, value]) => `${name}=${value}`)
  const fragile = [...folder.fragile].map(([engine, count]) =>
    `${count} ${count === 1 ? 'table' : 'tables'} of ${engine}, which does not recover by itself`)
  return [values.join(', '), ...fragile].join('; ')
}
