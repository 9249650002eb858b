/** What a Redis server is asked: its own account of itself, and its settings. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { RedisSession } from './session.ts'

/** What `INFO` said, by the names that Redis gives. */
export class RedisState {
  readonly #values: ReadonlyMap<string, string>

  constructor(text: string) {
    this.#values = new Map(text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      if (colon < 0 || line.startsWith('#')) return []
      return [[line.slice(0, colon), line.slice(colon + 1)]]
    }))
  }

  /** Fault: `writer-failed` if it is missing or does not fit. */
  text(name: string, pattern: RegExp): string {
    const value = this.#values.get(name)
    if (value === undefined || !pattern.test(value)) {
      throw new Fault('writer-failed',
        `Redis answered ${value === undefined ? 'nothing' : printable(value, 60)} for ${name}`)
    }
    return value
  }

  number(name: string): number {
    return Number(this.text(name, /^-?\d{1,15}$/))
  }

  isOn(name: string): boolean {
    return this.text(name, /^[01]$/) === '1'
  }

  /** Undefined if this server does not state it. */
  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  /** `name=value, …` as the server gave them; what it does not state is left out. */
  statement(names: readonly string[]): string {
    return names.flatMap((name) => {
      const value = this.#values.get(name)
      return value === undefined ? [] : [`${name}=${printable(value, 100)}`]
    }).join(', ')
  }
}

/** Faults: `writer-failed`, `writer-timeout`. */
export async function askState(
  session: RedisSession, limitMs: number, signal?: AbortSignal): Promise<RedisState> {
  const reply = await session.ask(['INFO'], limitMs, signal)
  if (typeof reply !== 'string') throw new Fault('writer-failed', 'Redis answered no text for INFO')
  return new RedisState(reply)
}

/** How it keeps its data on disk. */
export type Persistence =
  /** Every write is appended to a log, which a start replays. */
  | 'aof'
  /** The whole of it is saved now and then. */
  | 'rdb'
  | 'nothing'

export interface RedisSettings {
  readonly persistence: Persistence
  /** Its working folder, absolute, as it calls it. */
  readonly folder: string
  /** File names in that folder. */
  readonly rdbFile: string
  readonly aofFile: string
  /** The folder of the log's parts, from version 7 on; undefined before, when it is one file. */
  readonly aofFolder: string | undefined
  /** Where users are kept; undefined if in the configuration. */
  readonly aclFile: string | undefined
  /** As read: `appendonly=yes, appendfsync=everysec`. */
  readonly text: string
}

const NAME = /^[^/\0]{1,255}$/
const PATH = /^\/[^\0]{0,4095}$/

/** Faults: `writer-failed`, `writer-timeout`. */
export async function askSettings(
  session: RedisSession, limitMs: number, signal?: AbortSignal): Promise<RedisSettings> {
  const get = async (name: string): Promise<string | undefined> => {
    const reply = await session.ask(['CONFIG', 'GET', name], limitMs, signal)
    if (!Array.isArray(reply)) throw new Fault('writer-failed', 'Redis answered no list for CONFIG')
    const [first, value]: readonly unknown[] = reply
    return first === name && typeof value === 'string' ? value : undefined
  }
  const fitting = async (name: string, pattern: RegExp): Promise<string> => {
    const value = await get(name)
    if (value !== undefined && pattern.test(value)) return value
    throw new Fault('writer-failed',
      `Redis answered ${printable(value ?? 'nothing', 60)} for its setting ${name}`)
  }
  const appendonly = await fitting('appendonly', /^(yes|no)$/)
  const appendfsync = await fitting('appendfsync', /^(always|everysec|no)$/)
  const save = await fitting('save', /^[\d ]{0,1000}$/)
  const aclFile = await get('aclfile')
  const persistence = appendonly === 'yes' ? 'aof' : save === '' ? 'nothing' : 'rdb'
  return {
    persistence,
    folder: await fitting('dir', PATH),
    rdbFile: await fitting('dbfilename', NAME),
    aofFile: await fitting('appendfilename', NAME),
    aofFolder: await get('appenddirname') === undefined
      ? undefined : await fitting('appenddirname', NAME),
    aclFile: aclFile === undefined || !PATH.test(aclFile) ? undefined : aclFile,
    text: `appendonly=${appendonly}, appendfsync=${appendfsync}, save=${save === '' ? '""' : save}`,
  }
}

/** Answered only while nobody keeps writes out: it counts as a script that may write. */
export const WITNESS = ['EVAL', 'return 1', '0'] as const

/** What is kept of a state, as the server names it. */
export const STATED = [
  'redis_version', 'valkey_version', 'run_id', 'role', 'master_replid', 'master_repl_offset',
  'slave_repl_offset', 'rdb_changes_since_last_save', 'rdb_last_save_time',
  'rdb_last_bgsave_status', 'aof_enabled', 'aof_current_size', 'aof_last_write_status',
]

/**
 * True if the same server says that nothing was written from `frozen` to `now`: neither to its
 * replication log, nor since its last save. A save that ends meanwhile counts from nought again;
 * then the log of one kind or the other must say it.
 */
export function wroteNothing(frozen: RedisState, now: RedisState): boolean {
  const isSame = (name: string): boolean => frozen.get(name) === now.get(name)
  const same = ['run_id', 'role', 'master_replid', 'master_repl_offset', 'slave_repl_offset',
    'aof_enabled']
  if (!same.every(isSame)) return false
  const hasBacklog = [frozen, now].every((it) => it.get('repl_backlog_active') === '1')
  return isSame('rdb_changes_since_last_save') || hasBacklog ||
    (now.get('aof_enabled') === '1' && isSame('aof_current_size'))
}
