/**
 * The writer of SQLite: contract `held`. From freeze to thaw a write transaction of ours keeps
 * every other out; readers go on (docs/operations/databases.md).
 *
 * Whoever opens and closes a database file takes away all locks that his process has on it
 * (fcntl(2)). So nothing else in the agent's process may open a database that is held; the watcher
 * notices if a commit came through.
 */

import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { DatabaseSync } from 'node:sqlite'
import { throwIfAborted, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  DiscoveredApplication, PreparedWriter, Writer, WriterLimits,
} from '../../consistency/mod.ts'
import { asAccount } from '../local-socket.ts'
import { preparedWriter } from '../prepared-writer.ts'
import {
  checkLogIsThere, journalMode, type FileId, type JournalMode,
} from './database-file.ts'
import { findDatabases } from './databases.ts'
import {
  busy, failed, identify, isBusy, isSameFile, openDatabase, pragma, SqliteHold,
} from './hold.ts'

export interface SqliteLimits extends WriterLimits {
  /** For a database that another has locked, before the hold. */
  readonly openMs: number
  /**
   * The largest log that is brought into its database before the hold. SQLite runs in our only
   * thread, which must stay able to thaw.
   */
  readonly checkpointBytes: number
  /** The largest database that `quick_check` reads before the hold; 0 for none. */
  readonly quickCheckBytes: number
}

export interface SqliteOptions {
  readonly clock: Clock
  readonly limits?: Partial<SqliteLimits>
  /** Paths of databases to protect, whether or not somebody has them open when it is asked. */
  readonly databases?: readonly string[]
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
}

const DEFAULT_LIMITS: SqliteLimits = {
  openMs: 5000,
  checkpointBytes: 32 * 1024 * 1024,
  quickCheckBytes: 0,
  freezeMs: 5000,
  holdMs: 10_000,
  thawMs: 5000,
}

interface Context {
  readonly clock: Clock
  readonly limits: SqliteLimits
  readonly held: Set<FileId>
}

export function sqliteWriter(options: SqliteOptions): Writer {
  const { clock, procRoot = '/proc', databases = [] } = options
  const held = new Set<FileId>()
  const context: Context = { clock, held, limits: { ...DEFAULT_LIMITS, ...options.limits } }
  const find = (signal: AbortSignal): ReturnType<typeof findDatabases> =>
    findDatabases({ procRoot, named: databases, isHeld: (id) => held.has(id) }, signal)
  return {
    name: 'sqlite',
    async discover(signal) {
      const { databases, hidden } = await find(signal)
      return [...databases.map(({ application }) => application), ...othersThan(hidden)]
    },
    async prepare(application, signal) {
      const database = (await find(signal)).databases
        .find((it) => it.application.name === application.name)
      if (database === undefined) {
        throw new Fault('writer-failed', `nobody has ${printable(application.name)} open any more`)
      }
      if (application.data.state !== 'located') {
        throw new Fault('writer-failed', application.data.detail)
      }
      return prepareDatabase(application, database.path, context, signal)
    },
  }
}

/** What an agent that is not root cannot know. */
function othersThan(hidden: readonly number[]): readonly DiscoveredApplication[] {
  const [first] = hidden
  if (first === undefined) return []
  const more = hidden.length === 1 ? '' : `, nor may ${hidden.length - 1} more`
  return [{ name: 'sqlite in processes of others', kind: 'protected', recovery: 'unknown', data: {
    state: 'unknown', detail: `process ${first} may not be looked at${more}` } }]
}

async function prepareDatabase(
  application: DiscoveredApplication, path: string, context: Context, signal: AbortSignal,
): Promise<PreparedWriter> {
  const { held, clock, limits } = context
  const before = await stat(path, { bigint: true })
  const id: FileId = `${before.dev}:${before.ino}`
  if (held.has(id)) {
    throw new Fault('writer-failed', `${printable(path)} is being held already`, { retry: 'later' })
  }
  const mode = await journalMode(path)
  if (mode === undefined) throw new Fault('writer-failed', `${path} is no database of SQLite`)
  if (mode === 'wal') await checkLogIsThere(path)
  held.add(id)
  const opened: (() => unknown)[] = [() => held.delete(id)]
  try {
    const identity = await identify(path, mode)
    // Closing one on the database takes its locks away: it is closed after the connections.
    const file = await open(
      mode === 'wal' ? `${path}-wal` : path, constants.O_RDONLY | constants.O_NONBLOCK)
    opened.push(() => file.close())
    const { dev, ino } = await file.stat({ bigint: true })
    if (`${dev}:${ino}` !== (mode === 'wal' ? identity.log : identity.database)) {
      throw new Fault('writer-failed', 'its files were replaced meanwhile', { retry: 'now' })
    }
    const connect = (): Promise<DatabaseSync> =>
      connectAs(Number(before.uid), path, context, signal)
    const holder = await connect()
    opened.push(() => holder.close())
    const watcher = await connect()
    opened.push(() => watcher.close())
    if (!isSameFile(identity, await identify(path, mode))) {
      throw new Fault('writer-failed', 'its files were replaced meanwhile', { retry: 'now' })
    }
    await lookAt(holder, path, mode, limits)
    throwIfAborted(signal)
    const { freezeMs, holdMs, thawMs } = limits
    const holdLimits = { freezeMs, holdMs, thawMs }
    return preparedWriter(
      { application, contract: { kind: 'held' }, limits: holdLimits },
      new SqliteHold({
        path, mode, holder, watcher, file, identity, limits: holdLimits, clock,
        onClosed: () => held.delete(id) }), clock)
  } catch (error) {
    for (const undo of opened.toReversed()) await undo()
    throw isFault(error) ? error : failed(error)
  }
}

/**
 * A connection that has read the database once, opened as the account that owns it: so no path can
 * lead root elsewhere, and a log that had to be made would be its owner's.
 */
async function connectAs(
  uid: number, path: string, { clock, limits: { openMs } }: Context, signal: AbortSignal,
): Promise<DatabaseSync> {
  const startMs = clock.monotonicMs()
  for (;;) {
    throwIfAborted(signal)
    try {
      return asOwner(uid, () => {
        const database = openDatabase(path)
        try {
          database.exec('pragma trusted_schema = off')
          pragma(database, 'schema_version') // the first to read, so files are opened by now
          return database
        } catch (error) {
          database.close()
          throw error
        }
      })
    } catch (error) {
      if (!isBusy(error)) throw error
      if (clock.monotonicMs() - startMs > openMs) throw busy(openMs, error)
    }
    await clock.sleep(20, signal)
  }
}

function asOwner<T>(uid: number, run: () => T): T {
  return process.geteuid?.() === 0 ? asAccount(uid, run) : run()
}

/** Before the hold: a shorter recovery, and a look at its soundness where that is asked for. */
async function lookAt(
  database: DatabaseSync, path: string, mode: JournalMode,
  { checkpointBytes, quickCheckBytes }: SqliteLimits): Promise<void> {
  if (mode === 'wal' && (await stat(`${path}-wal`)).size <= checkpointBytes) {
    pragma(database, 'wal_checkpoint(passive)') // takes what it gets: nobody waits for it
  }
  if ((await stat(path)).size <= quickCheckBytes) {
    const answer = pragma(database, 'quick_check(1)')
    if (answer !== 'ok') {
      throw new Fault('writer-failed', `the database is damaged: ${printable(answer, 200)}`, {
        advice: 'Restore it, or recover it with the sqlite3 program.' })
    }
  }
}
