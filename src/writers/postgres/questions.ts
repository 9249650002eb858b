/** What a PostgreSQL server is asked, and what its answers mean. PostgreSQL 10 and newer. */

import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Fault } from '../../base/fault.ts'
import type { Durability } from '../../consistency/mod.ts'
import { onlyRow, textOf, type Row, type SqlSession } from '../sql-session.ts'

/** A position in the log: two halves of 64 bits, hexadecimal (PostgreSQL manual, `pg_lsn`). */
const LSN = /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/
const WORD = /^[\w.+:-]{1,64}$/
const TIME = /^[\d :.+-]{10,40}$/

/** The server as it states itself at one moment. */
export interface ServerState {
  /** What makes it this run of this cluster in this role: alike at two moments, or it changed. */
  readonly identity: string
  readonly isStandby: boolean
  /** Up to here the log is on disk (primary) or replayed (standby). */
  readonly durable: string
  /** Up to here it is written into, on disk or not. */
  readonly inserted: string
  /** Where the recovery of an image taken now would begin. */
  readonly redo: string
  /** The object ids of all tablespaces. */
  readonly tablespaces: string
  readonly row: Row
}

const STATE = `
  select clock_timestamp()::text as at, pg_postmaster_start_time()::text as started,
    (select system_identifier::text from pg_control_system()) as system_identifier,
    (select timeline_id::text from pg_control_checkpoint()) as timeline,
    (select redo_lsn::text from pg_control_checkpoint()) as redo,
    pg_is_in_recovery()::text as standby,
    case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
      else pg_current_wal_flush_lsn() end::text as durable,
    case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
      else pg_current_wal_insert_lsn() end::text as inserted,
    (select string_agg(oid::text, ' ' order by oid) from pg_tablespace) as tablespaces`

/** Faults: as `SqlSession.query`; `writer-failed` if the answer is none. */
export async function askState(
  session: SqlSession, limitMs: number, signal?: AbortSignal): Promise<ServerState> {
  const row = onlyRow(await session.query(STATE, limitMs, signal))
  const standby = textOf(row, 'standby', /^(true|false)$/)
  textOf(row, 'at', TIME)
  const identity = [
    textOf(row, 'started', TIME), textOf(row, 'system_identifier', /^\d{1,20}$/),
    textOf(row, 'timeline', /^\d{1,10}$/), standby,
  ].join(' ')
  return {
    identity, row, isStandby: standby === 'true', durable: textOf(row, 'durable', LSN),
    inserted: textOf(row, 'inserted', LSN), redo: textOf(row, 'redo', LSN),
    tablespaces: textOf(row, 'tablespaces', /^[\d ]{1,65536}$/),
  }
}

/** Whether position `a` lies before `b`. */
export function isBefore(a: string, b: string): boolean {
  const value = (lsn: string): bigint => {
    const [high = '', low = ''] = lsn.split('/')
    return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
  }
  return value(a) < value(b)
}

/** `synchronous_commit` is the default of each session; a role or database may have its own. */
const SETTINGS = `
  select current_setting('server_version') as server_version,
    current_setting('data_directory') as data_directory,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
    (select reset_val from pg_settings where name = 'synchronous_commit') as synchronous_commit,
    (select count(*)::text from pg_db_role_setting s, unnest(s.setconfig) c
      where c ~ '^synchronous_commit=(off|false|no|0)$') as synchronous_commit_off_elsewhere,
    current_setting('wal_level') as wal_level, current_setting('data_checksums') as data_checksums,
    current_setting('wal_sync_method') as wal_sync_method,
    (select set_config(name, '0', false) from pg_settings
      where name = 'idle_session_timeout') as idle_session_timeout`

export interface ServerSettings {
  readonly version: string
  readonly dataFolder: string
  readonly durability: Durability
}

/** Also keeps the server from ending the session for its idleness. Faults: `writer-failed`. */
export async function askSettings(
  session: SqlSession, limitMs: number, signal: AbortSignal): Promise<ServerSettings> {
  const row = onlyRow(await session.query(SETTINGS, limitMs, signal))
  const version = textOf(row, 'server_version', /^[\w.+~() -]{1,100}$/)
  return {
    version, dataFolder: textOf(row, 'data_directory', /^\/[^\0]{0,4095}$/),
    durability: durabilityOf(row),
  }
}

/**
 * Safe if what a client was told is committed survives a crash at any instant: the log is flushed
 * before the answer, and a page half written is made whole from it. A setting that has no meaning
 * to us makes it unknown.
 */
export function durabilityOf(row: Row): Durability {
  const names = ['fsync', 'full_page_writes', 'synchronous_commit',
    'synchronous_commit_off_elsewhere', 'wal_level', 'data_checksums', 'wal_sync_method']
  const settings = names.map((name) => `${name}=${row[name] ?? 'null'}`).join(', ').slice(0, 1000)
  const isOff = row['fsync'] === 'off' || row['full_page_writes'] === 'off' ||
    row['synchronous_commit'] === 'off'
  const overrides = row['synchronous_commit_off_elsewhere'] ?? ''
  if (isOff || /^[1-9]\d*$/.test(overrides)) return { state: 'unsafe', settings }
  const isKnown = row['fsync'] === 'on' && row['full_page_writes'] === 'on' &&
    ['local', 'remote_write', 'on', 'remote_apply'].includes(row['synchronous_commit'] ?? '') &&
    overrides === '0' && names.every((name) => WORD.test(row[name] ?? ''))
  return { state: isKnown ? 'safe' : 'unknown', settings }
}

/**
 * The server's own list of where its data lies holds no place but `known`: a tablespace made since
 * they were looked up is a fault, and so is a server that is another one.
 */
export async function checkPlaces(
  session: SqlSession, { dataFolder }: ServerSettings, known: ReadonlySet<string>,
  limitMs: number, signal: AbortSignal): Promise<void> {
  const rows = await session.query(
    `select pg_tablespace_location(oid) as place from pg_tablespace
      where pg_tablespace_location(oid) <> ''`, limitMs, signal)
  const places = rows.map((row) => textOf(row, 'place', /^[^\0]{1,4096}$/))
  for (const place of [dataFolder, ...places.map((it) => resolve(dataFolder, it))]) {
    const real = await realpath(place).catch(() => undefined)
    if (real === undefined || !known.has(real)) {
      throw new Fault('writer-failed',
        'the server keeps data in a place that was not found before', { retry: 'now' })
    }
  }
}
