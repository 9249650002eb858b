/** What a MariaDB or MySQL server is asked, and what its answers mean. */

import { dirname, resolve } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { onlyRow, textOf, type Row, type SqlSession } from '../sql-session.ts'

export interface ServerVersion {
  /** As the server gives it. */
  readonly text: string
  readonly flavour: 'MariaDB' | 'MySQL'
  /** Major times 100 plus minor: 10.11 is 1011. */
  readonly number: number
}

/** Faults: `writer-failed`, `writer-timeout`. */
export async function askVersion(
  session: SqlSession, limitMs: number, signal: AbortSignal): Promise<ServerVersion> {
  const row = onlyRow(await session.query('select version() as version', limitMs, signal))
  const text = textOf(row, 'version', /^\d{1,3}\.\d{1,3}[\w.+~:-]{0,100}$/)
  const [major, minor] = text.split('.')
  const flavour = /mariadb/i.test(text) ? 'MariaDB' : 'MySQL'
  return { text, flavour, number: Number(major) * 100 + Number.parseInt(minor ?? '0', 10) }
}

const PLACES = [
  'datadir', 'innodb_data_home_dir', 'innodb_log_group_home_dir', 'innodb_undo_directory',
  'aria_log_dir_path', 'log_bin_basename', 'log_bin_index', 'relay_log_basename',
]
const SETTINGS = [
  'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'sync_binlog', 'log_bin',
  'innodb_flush_method', 'innodb_force_recovery',
]

export interface ServerSettings {
  readonly dataFolder: string
  /** Every place that the configuration names: absolute. */
  readonly places: readonly string[]
  /** The settings that say what a crash keeps: name to value. */
  readonly durability: Readonly<Record<string, string>>
}

/** Faults: `writer-failed`, `writer-timeout`. */
export async function askSettings(
  session: SqlSession, limitMs: number, signal: AbortSignal): Promise<ServerSettings> {
  const names = [...PLACES, ...SETTINGS, 'innodb_data_file_path']
  const rows = await session.query(
    `show global variables where variable_name in (${names.map((it) => `'${it}'`).join(', ')})`,
    limitMs, signal)
  const values = new Map(rows.map((row) => [
    textOf(row, 'Variable_name', /^\w{1,64}$/), textOf(row, 'Value', /^[^\0]{0,8192}$/)] as const))
  const dataFolder = values.get('datadir') ?? ''
  if (!dataFolder.startsWith('/')) {
    throw new Fault('writer-failed', 'the server does not say where its data directory is')
  }
  // `ibdata1:12M;/other/ibdata2:1G:autoextend`: a path with a slash may lie anywhere.
  const files = (values.get('innodb_data_file_path') ?? '').split(';')
    .map((file) => file.split(':')[0] ?? '').filter((file) => file.startsWith('/'))
  const folders = PLACES.flatMap((name) => {
    const value = values.get(name) ?? ''
    if (value === '') return []
    // A base name or an index is a file, or the beginning of several.
    return [resolve(dataFolder, /_(basename|index)$/.test(name) ? dirname(value) : value)]
  })
  const durability = SETTINGS.flatMap((name) => {
    const value = values.get(name)
    return value === undefined ? [] : [[name, value.slice(0, 100)] as const]
  })
  return { dataFolder, places: [...folders, ...files], durability: Object.fromEntries(durability) }
}

/** Folders outside its data directory where InnoDB keeps tables; needs the right `PROCESS`. */
export async function askFoldersElsewhere(
  session: SqlSession, dataFolder: string, limitMs: number, signal: AbortSignal,
): Promise<readonly string[]> {
  const sources = await session.query(
    `select table_name as source, column_name as path from information_schema.columns
      where table_schema = 'information_schema' and concat(table_name, '.', column_name) in
      ('INNODB_DATAFILES.PATH', 'INNODB_SYS_DATAFILES.PATH', 'INNODB_SYS_TABLESPACES.FILENAME')`,
    limitMs, signal)
  const [first] = sources
  if (first === undefined) return [] // InnoDB is not there
  const source = textOf(first, 'source', /^INNODB_\w{1,40}$/)
  const column = textOf(first, 'path', /^(PATH|FILENAME)$/)
  const rows = await session.query(
    `select ${column} as path from information_schema.${source}
      where ${column} like '/%' or ${column} like '../%'`, limitMs, signal)
  // Their folders: a table that is made there meanwhile changes nothing.
  return rows.map((row) => dirname(resolve(dataFolder, textOf(row, 'path', /^[^\0]{1,4096}$/))))
}

/** Where the logs stand. */
export interface Position {
  /** Of the binary log: file and offset, and the set of global transaction ids; null if none. */
  readonly binlog: string | null
  /** InnoDB's log sequence numbers, decimal; null where the server does not tell (MySQL). */
  readonly lsn: {
    readonly written: string; readonly flushed: string; readonly checkpoint: string } | null
}

/** Needs the right `BINLOG MONITOR` (MariaDB) or `REPLICATION CLIENT`. */
export async function askPosition(
  session: SqlSession, { flavour, number }: ServerVersion, limitMs: number, signal?: AbortSignal,
): Promise<Position> {
  const [status] = await session.query(
    flavour === 'MySQL' && number >= 802 ? 'show binary log status' : 'show master status',
    limitMs, signal)
  const ids = flavour === 'MariaDB' ? '@@gtid_current_pos' : '@@gtid_executed'
  const gtid = onlyRow(await session.query(`select ${ids} as gtid`, limitMs, signal))
  const lsn = await session.query(
    `show global status where variable_name in
      ('Innodb_lsn_current', 'Innodb_lsn_flushed', 'Innodb_lsn_last_checkpoint')`, limitMs, signal)
  return { binlog: binlogOf(status, gtid), lsn: lsnOf(lsn) }
}

function binlogOf(status: Row | undefined, gtid: Row): string | null {
  if (status === undefined) return null
  const file = textOf(status, 'File', /^[^\0\n]{1,512}$/)
  const offset = textOf(status, 'Position', /^\d{1,20}$/)
  return `${file}:${offset} gtid ${textOf(gtid, 'gtid', /^[\w:,\s-]{0,65536}$/) || 'none'}`
}

function lsnOf(rows: readonly Row[]): Position['lsn'] {
  const values = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase(), row]))
  const read = (name: string): string | undefined => {
    const row = values.get(`innodb_lsn_${name}`)
    return row === undefined ? undefined : textOf(row, 'Value', /^\d{1,20}$/)
  }
  const [written, flushed, checkpoint] = [
    read('current'), read('flushed'), read('last_checkpoint')]
  if (written === undefined || flushed === undefined || checkpoint === undefined) return null
  return { written, flushed, checkpoint }
}

/** The session's number, by which another session can end it. */
export async function askConnectionId(session: SqlSession, limitMs: number): Promise<string> {
  const row = onlyRow(await session.query('select connection_id() as id', limitMs))
  return textOf(row, 'id', /^\d{1,20}$/)
}
