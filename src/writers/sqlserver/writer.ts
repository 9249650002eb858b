/**
 * The writer of SQL Server on Linux, 2022 and newer: contract `held`. From freeze to thaw the
 * databases of its users are suspended for a snapshot, so that nothing commits
 * (docs/operations/databases.md). Not tried with a server: docs/unproven.md.
 */

import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import type {
  DiscoveredApplication, PreparedWriter, Writer, WriterLimits,
} from '../../consistency/mod.ts'
import { preparedWriter } from '../prepared-writer.ts'
import { stillRunning } from '../still-running.ts'
import { SqlServerHold, type NamedSession } from './hold.ts'
import { askDatabases, askFolders, askSessionId, askVersion } from './questions.ts'
import {
  addressOf, describe, findServers, placesOf, type SqlServer,
} from './servers.ts'
import { connectSqlServer, type SqlServerLogin } from './session.ts'

export interface SqlServerLimits extends WriterLimits {
  readonly connectMs: number
  /** For one question outside the hold. */
  readonly askMs: number
}

export interface SqlServerOptions {
  readonly clock: Clock
  readonly random: RandomBytes
  /** Without one the server is found and not held. */
  readonly login?: SqlServerLogin
  /** Default: 1433 if it listens there, else the lowest. */
  readonly port?: number
  /** A folder that the server may write: there it leaves the metadata of each backup. */
  readonly metadataFolder?: string
  readonly limits?: Partial<SqlServerLimits>
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
}

const DEFAULT_LIMITS: SqlServerLimits = {
  connectMs: 10_000,
  askMs: 10_000,
  freezeMs: 10_000, // it writes out what it has
  holdMs: 10_000, // what a client that commits can be asked to bear
  thawMs: 10_000,
}
const FIRST_MAJOR = 16

interface Context extends SqlServerOptions {
  readonly procRoot: string
  readonly limits: SqlServerLimits
}

export function sqlServerWriter(options: SqlServerOptions): Writer {
  const { procRoot = '/proc' } = options
  const context = { ...options, procRoot, limits: { ...DEFAULT_LIMITS, ...options.limits } }
  return {
    name: 'sqlserver',
    async discover(signal) {
      const found: DiscoveredApplication[] = []
      for (const server of await findServers(procRoot, signal)) {
        found.push(await lookAt(server, context, signal))
      }
      return found
    },
    async prepare(application, signal) {
      const server = stillRunning((await findServers(procRoot, signal))
        .find(({ name }) => name === application.name), application)
      const token = Buffer.from(options.random(8)).toString('hex')
      const opened: NamedSession[] = []
      const open = async (role: string): Promise<NamedSession> => {
        const named = await connect(server, `stillpoint ${role} ${token}`, context, signal)
        opened.push(named)
        return named
      }
      try {
        const sessions = {
          holder: await open('hold'), guard: await open('guard'), watch: await open('watch') }
        return await prepareSessions(application, server, { ...sessions, token }, context, signal)
      } catch (error) {
        for (const { session } of opened) session.destroy()
        throw error
      }
    },
  }
}

async function connect(
  server: SqlServer, program: string, { login, port, procRoot, clock, limits }: Context,
  signal: AbortSignal,
): Promise<NamedSession> {
  if (login === undefined) {
    throw new Fault('writer-failed', 'the agent was given no login of it', {
      advice: 'Name one (sqlserver) in the configuration of the agent: docs/agent.md.' })
  }
  const address = await addressOf(server, procRoot, port)
  const session = await connectSqlServer(address, login, program, clock, limits.connectMs, signal)
  try {
    return { session, program, id: await askSessionId(session, limits.askMs, signal) }
  } catch (error) {
    session.destroy()
    throw error
  }
}

/** A server that cannot be asked is known all the same. */
async function lookAt(
  server: SqlServer, context: Context, signal: AbortSignal): Promise<DiscoveredApplication> {
  try {
    const { session } = await connect(server, 'stillpoint', context, signal)
    try {
      const folders = await askFolders(session, context.limits.askMs, signal)
      return describe(server.name, await placesOf(server, folders, context.procRoot))
    } finally {
      session.destroy()
    }
  } catch (error) {
    if (signal.aborted) throw error
    return describe(server.name, { error })
  }
}

interface Sessions {
  readonly holder: NamedSession
  readonly guard: NamedSession
  readonly watch: NamedSession
  readonly token: string
}

async function prepareSessions(
  application: DiscoveredApplication, server: SqlServer, { token, ...sessions }: Sessions,
  { clock, limits, metadataFolder, procRoot }: Context, signal: AbortSignal,
): Promise<PreparedWriter> {
  const { askMs, freezeMs, holdMs, thawMs } = limits
  const { session } = sessions.holder
  const version = await askVersion(session, askMs, signal)
  if (version.major < FIRST_MAJOR) {
    throw new Fault('writer-failed', `SQL Server ${version.text} has no snapshots of databases`, {
      advice: 'SQL Server 2022 (16) is the first that has; else two commands of yours: scripts.' })
  }
  await checkPlaces(application, server, await askFolders(session, askMs, signal), procRoot)
  const databases = await askDatabases(session, askMs, signal)
  if (databases.online.length === 0) {
    throw new Fault('writer-failed', 'it has no open database but its own, which it cannot suspend')
  }
  const holdLimits = { freezeMs, holdMs, thawMs }
  return preparedWriter({ application, contract: { kind: 'held' }, limits: holdLimits },
    new SqlServerHold({
      ...sessions, version, databases, limits: holdLimits, clock,
      metadataFile: metadataFolder === undefined
        ? undefined : join(metadataFolder, `stillpoint-${token}.bkm`),
    }), clock)
}

/** Data in a place that discovery did not tell of would not be looked for in the set. */
async function checkPlaces(
  { data }: DiscoveredApplication, server: SqlServer, folders: readonly string[], procRoot: string,
): Promise<void> {
  const now = await placesOf(server, folders, procRoot)
  if (data.state !== 'located' || now.state !== 'located') {
    throw new Fault('writer-failed', 'it is not known where all of its data lies')
  }
  const known = new Set(data.places.map(({ path }) => path))
  if (now.places.every(({ path }) => known.has(path))) return
  throw new Fault('writer-failed',
    'the server keeps data in a place that was not found before', { retry: 'now' })
}
