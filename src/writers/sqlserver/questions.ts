/** What SQL Server is asked, and what its answers mean. Every column is cast to NVARCHAR. */

import { dirname } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { onlyRow, textOf, type SqlSession } from '../sql-session.ts'

const NAME = /^[^\0]{1,128}$/
const NUMBER = /^\d{1,15}$/

export interface ServerVersion {
  /** As the server gives it: `16.0.4165.4`. */
  readonly text: string
  /** 16 is SQL Server 2022, the first with statements for snapshots. */
  readonly major: number
}

/** Faults, as of all questions here: `writer-failed`, `writer-timeout`. */
export async function askVersion(
  session: SqlSession, limitMs: number, signal: AbortSignal): Promise<ServerVersion> {
  const row = onlyRow(await session.query(
    'select cast(serverproperty(\'ProductVersion\') as nvarchar(128)) as version',
    limitMs, signal))
  const text = textOf(row, 'version', /^\d{1,3}(\.\d{1,8}){1,3}$/)
  return { text, major: Number.parseInt(text, 10) }
}

/** The number of the session, by which another can end it. */
export async function askSessionId(
  session: SqlSession, limitMs: number, signal: AbortSignal): Promise<string> {
  const row = onlyRow(await session.query(
    'select cast(@@spid as nvarchar(11)) as id', limitMs, signal))
  return textOf(row, 'id', NUMBER)
}

/**
 * Folders of all files that it keeps, and the one above its own databases, where its settings and
 * keys are. Not of `tempdb` (2), which it makes anew at each start.
 */
export async function askFolders(
  session: SqlSession, limitMs: number, signal: AbortSignal): Promise<readonly string[]> {
  const rows = await session.query(
    `select cast(physical_name as nvarchar(4000)) as path,
      cast(database_id as nvarchar(11)) as id from sys.master_files where database_id <> 2`,
    limitMs, signal)
  const folders = new Set<string>()
  for (const row of rows) {
    const folder = dirname(textOf(row, 'path', /^\/[^\0]{1,4095}$/))
    folders.add(folder)
    if (textOf(row, 'id', NUMBER) === '1') folders.add(dirname(folder))
  }
  if (folders.size === 0) {
    throw new Fault('writer-failed', 'the server does not say where its files are', {
      advice: 'Grant VIEW ANY DEFINITION to its login.' })
  }
  return [...folders]
}

export interface Databases {
  /** Those of users that are open: what is suspended. Rising. */
  readonly online: readonly string[]
  /** The others, with what the server calls their state. */
  readonly others: readonly string[]
}

/** Without the server's own (1 to 4), and without snapshots of databases. */
export async function askDatabases(
  session: SqlSession, limitMs: number, signal?: AbortSignal): Promise<Databases> {
  const rows = await session.query(
    `select cast(name as nvarchar(128)) as name, cast(state_desc as nvarchar(60)) as state
      from sys.databases where database_id > 4 and source_database_id is null`, limitMs, signal)
  const all = rows.map((row) => (
    { name: textOf(row, 'name', NAME), state: textOf(row, 'state', /^[A-Z_]{1,60}$/) }))
  return {
    online: all.filter(({ state }) => state === 'ONLINE').map(({ name }) => name).toSorted(),
    others: all.filter(({ state }) => state !== 'ONLINE')
      .map(({ name, state }) => `${name} ${state}`).toSorted(),
  }
}

/** A row of `sys.dm_server_suspend_status`. */
export interface Suspended {
  readonly name: string
  readonly session: string
  /** For how long. */
  readonly ms: number
  readonly isFrozen: boolean
  /** Its list of changes for differential backups was cleared: not with COPY_ONLY. */
  readonly isCleared: boolean
}

export async function askSuspended(
  session: SqlSession, limitMs: number): Promise<readonly Suspended[]> {
  const rows = await session.query(
    `select cast(db_name as nvarchar(128)) as name,
      cast(suspend_session_id as nvarchar(11)) as session,
      cast(suspend_time_ms as nvarchar(20)) as ms,
      cast(is_write_io_frozen as nvarchar(1)) as frozen,
      cast(is_diff_map_cleared as nvarchar(1)) as cleared
      from sys.dm_server_suspend_status`, limitMs)
  return rows.map((row) => ({
    name: textOf(row, 'name', NAME),
    session: textOf(row, 'session', NUMBER),
    ms: Number(textOf(row, 'ms', NUMBER)),
    isFrozen: textOf(row, 'frozen', /^[01]$/) === '1',
    isCleared: textOf(row, 'cleared', /^[01]$/) === '1',
  })).toSorted((a, b) => a.name < b.name ? -1 : 1)
}

/** True while there is a session of that number and that program. */
export async function isSessionThere(
  asking: SqlSession, id: string, program: string, limitMs: number): Promise<boolean> {
  const rows = await asking.query(
    `select cast(session_id as nvarchar(11)) as id from sys.dm_exec_sessions
      where ${sessionIs(id, program)}`, limitMs)
  return rows.length > 0
}

/** True while the session waits by `WAITFOR`. */
export async function isWaiting(
  asking: SqlSession, id: string, limitMs: number): Promise<boolean> {
  const rows = await asking.query(
    `select cast(session_id as nvarchar(11)) as id from sys.dm_exec_requests
      where session_id = ${id} and wait_type = 'WAITFOR'`, limitMs)
  return rows.length > 0
}

/** Ends a session, and no other that has got its number meanwhile. */
export function killStatement(id: string, program: string): string {
  return `if exists (select 1 from sys.dm_exec_sessions where ${sessionIs(id, program)}) kill ${id}`
}

function sessionIs(id: string, program: string): string {
  return `session_id = ${id} and program_name = ${quoted(program)}`
}

/** A text as SQL writes it. */
export function quoted(text: string): string {
  return `N'${text.replaceAll('\'', '\'\'')}'`
}

/** A name as SQL writes it. */
export function bracketed(name: string): string {
  return `[${name.replaceAll(']', ']]')}]`
}
