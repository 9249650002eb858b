/**
 * The hold of a SQLite database: a write transaction that writes nothing. Two connections: one has
 * the lock, the other watches whether anybody commits all the same.
 */

import type { FileHandle } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { WriterLimits, WriterStatement, WriterThawOutcome } from '../../consistency/mod.ts'
import type { FreezeAnswer, HoldSteps } from '../prepared-writer.ts'
import { fileIdIfThere, type FileId, type JournalMode } from './database-file.ts'
import { lastCommit } from './last-commit.ts'

/** How often a busy database is tried: its own commits take about as long. */
const POLL_MS = 5
/** SQLITE_BUSY, "Result Codes" of SQLite; the low byte of its extended codes. */
const BUSY = 5

/** A database that must be there: never makes one, nor waits for a lock by itself. */
export function openDatabase(path: string): DatabaseSync {
  const url = pathToFileURL(path)
  url.searchParams.set('mode', 'rw')
  return new DatabaseSync(url, { timeout: 0, allowExtension: false, defensive: true })
}

export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' &&
    (error.errcode & 0xff) === BUSY
}

/** What SQLite answers to a pragma, in its first column. */
export function pragma(database: DatabaseSync, name: string): string {
  const row: unknown = database.prepare(`pragma ${name}`).get()
  const [value] = typeof row === 'object' && row !== null ? Object.values(row) : []
  return typeof value === 'string' || typeof value === 'number' ? String(value) : 'nothing'
}

export interface HoldParts {
  readonly path: string
  readonly mode: JournalMode
  readonly holder: DatabaseSync
  readonly watcher: DatabaseSync
  /** The log, or without one the database; opened before the connections, closed after them. */
  readonly file: FileHandle
  readonly identity: Identity
  readonly limits: WriterLimits
  readonly clock: Clock
  /** Called once, when the connections are closed. */
  readonly onClosed: () => void
}

/** What lies at the paths of a database. */
export interface Identity {
  readonly database: FileId | undefined
  readonly log: FileId | undefined
}

export async function identify(path: string, mode: JournalMode): Promise<Identity> {
  return {
    database: await fileIdIfThere(path),
    log: mode === 'wal' ? await fileIdIfThere(`${path}-wal`) : undefined,
  }
}

export function isSameFile(a: Identity, b: Identity): boolean {
  return a.database !== undefined && a.database === b.database && a.log === b.log
}

export class SqliteHold implements HoldSteps {
  readonly #parts: HoldParts
  #isReleased = false
  /** The watcher's count of commits, once it is held. */
  #dataVersion: string | undefined

  constructor(parts: HoldParts) {
    this.#parts = parts
  }

  async freeze(): Promise<FreezeAnswer> {
    const { holder, watcher, file, mode, path, identity } = this.#parts
    await this.#lock()
    try {
      if (!isSameFile(identity, await identify(path, mode))) {
        throw new Fault('writer-failed', 'another file is at its path since it was prepared', {
          retry: 'now' })
      }
      // Commits that its setting `synchronous` did not bring to disk.
      if (mode === 'wal') await file.sync()
      const commit = await lastCommit(file, mode)
      if (this.#isReleased) throw releasedBefore()
      this.#dataVersion = pragma(watcher, 'data_version')
      const statement = [this.#state(holder), ...commit === '' ? [] : [commit]].join(', ')
      return { statement, positions: null }
    } catch (error) {
      this.#unlock()
      throw error
    }
  }

  /** Takes the lock as soon as nobody else has it. */
  async #lock(): Promise<void> {
    const { holder, limits: { freezeMs }, clock } = this.#parts
    const startMs = clock.monotonicMs()
    for (;;) {
      if (this.#isReleased) throw releasedBefore()
      try {
        holder.exec('begin immediate')
        return
      } catch (error) {
        if (!isBusy(error)) throw failed(error)
        if (clock.monotonicMs() - startMs > freezeMs) throw busy(freezeMs, error)
      }
      await clock.sleep(POLL_MS, never)
    }
  }

  /** In SQLite's own words, of the connection that holds. */
  #state(holder: DatabaseSync): string {
    const names = ['journal_mode', 'page_size', 'page_count', 'schema_version', 'user_version']
    const values = names.map((name) => `${name}=${printable(pragma(holder, name), 40)}`)
    return `begin immediate, nothing written: data_version=${this.#dataVersion}, ` +
      values.join(', ')
  }

  async thaw(): Promise<WriterThawOutcome> {
    const { holder, watcher, mode, path, identity } = this.#parts
    this.#isReleased = true
    const frozen = this.#dataVersion
    try {
      if (frozen === undefined) {
        this.#unlock()
        return { state: 'thawed', heldThroughout: false, statement: 'the lock was not held' }
      }
      const found = await identify(path, mode)
      const dataVersion = pragma(watcher, 'data_version')
      const isOurs = holder.isTransaction
      const statement = this.#state(holder)
      this.#unlock()
      const remarks = [
        ...(isOurs ? [] : ['the transaction had ended before']),
        ...(dataVersion === frozen ? [] : [`another committed: data_version=${dataVersion}`]),
        ...(isSameFile(identity, found) ? [] : ['another file, or none, is at its path']),
      ]
      return {
        state: 'thawed', heldThroughout: remarks.length === 0,
        statement: ['rolled back', statement, ...remarks].join('; '),
      }
    } catch (error) {
      return this.letGo(error instanceof Error ? error.message : 'unknown error')
    }
  }

  #unlock(): void {
    const { holder } = this.#parts
    if (holder.isOpen && holder.isTransaction) holder.exec('rollback')
  }

  /** Closing the connection gives its locks back, whatever became of the files. */
  letGo(why: string): WriterThawOutcome {
    this.#isReleased = true
    this.#close()
    const statement = `its connection was closed: ${printable(why)}`
    return { state: 'thawed', heldThroughout: false, statement }
  }

  complete(): Promise<WriterStatement> {
    return Promise.resolve({ statement: 'SQLite keeps no account of backups' })
  }

  async close(): Promise<void> {
    this.#close()
    await this.#parts.file.close()
    this.#parts.onClosed()
  }

  #close(): void {
    for (const database of [this.#parts.holder, this.#parts.watcher]) {
      if (database.isOpen) database.close()
    }
  }
}

export function failed(cause: unknown): Fault {
  const said = cause instanceof Error ? printable(cause.message, 200) : 'unknown error'
  return new Fault('writer-failed', `SQLite refused: ${said}`, { cause, retry: 'later' })
}

export function busy(limitMs: number, cause: unknown): Fault {
  return new Fault('writer-timeout', `another had it locked for ${limitMs} ms`, {
    cause, retry: 'later',
    advice: 'A transaction runs for long, or the application locks it for good ' +
      '(locking_mode=exclusive): back up at another time, or stop it by a script.' })
}

function releasedBefore(): Fault {
  return new Fault('writer-failed', 'it was thawed before it was frozen')
}

const never = new AbortController().signal
