/** The hold of a MariaDB or MySQL server: one session holds the lock, another can end the first. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { WriterLimits, WriterStatement, WriterThawOutcome } from '../../consistency/mod.ts'
import type { FreezeAnswer, HoldSteps } from '../prepared-writer.ts'
import type { SqlSession } from '../sql-session.ts'
import { askConnectionId, askPosition, type Position, type ServerVersion } from './questions.ts'

/** A way to keep every commit out, as statements of one session; the lock ends with the session. */
export interface LockMethod {
  readonly name: string
  readonly prepare: readonly string[]
  readonly freeze: readonly string[]
  readonly thaw: string
}

/**
 * MariaDB 10.4 and newer ("BACKUP STAGE" in its manual). Waits for no query that only reads, and
 * for no open transaction; the last stage keeps out every commit, DDL and write to other engines.
 */
export const BACKUP_STAGES: LockMethod = {
  name: 'BACKUP STAGE',
  prepare: ['backup stage start', 'backup stage flush'],
  freeze: ['backup stage block_ddl', 'backup stage block_commit'],
  thaw: 'backup stage end',
}

/** All others. Waits for every statement that runs, and meanwhile lets no new write begin. */
export const READ_LOCK: LockMethod = {
  name: 'FLUSH TABLES WITH READ LOCK',
  prepare: [],
  freeze: ['flush tables with read lock'],
  thaw: 'unlock tables',
}

/** How often InnoDB is asked whether its log is on disk, where it flushes once a second. */
const FLUSH_POLL_MS = 20

export interface HoldParts {
  /** Holds the lock; prepared, its number is `connectionId`. */
  readonly holder: SqlSession
  readonly connectionId: string
  /** Of the same user, to end the holder when it does not answer. */
  readonly guard: SqlSession
  readonly method: LockMethod
  readonly version: ServerVersion
  /** Settings and what else belongs into the statement. */
  readonly remarks: string
  /** `innodb_flush_log_at_trx_commit` is 0: a commit is not in a file when it is answered. */
  readonly flushesLater: boolean
  readonly atPrepare: Position
  readonly limits: WriterLimits
  readonly clock: Clock
}

export class MariadbHold implements HoldSteps {
  readonly #parts: HoldParts
  #frozen: Position | undefined

  constructor(parts: HoldParts) {
    this.#parts = parts
  }

  async freeze(): Promise<FreezeAnswer> {
    const { holder, method, version, limits, connectionId, remarks, atPrepare } = this.#parts
    const { freezeMs } = limits
    // If nobody ends the hold, not even we, the server ends this idle session, and so the lock.
    const deadManSeconds = Math.ceil((limits.holdMs + limits.thawMs) / 1000)
    await holder.query(sessionLimits(version, freezeMs, deadManSeconds), freezeMs)
    for (const statement of method.freeze) await holder.query(statement, freezeMs)
    const position = await this.#whenOnDisk()
    this.#frozen = position
    const lock = `${version.flavour} ${version.text}, ${method.name}, connection ${connectionId}`
    return {
      statement: `${lock}: ${describe(position)}; ${remarks}`,
      positions: position.lsn === null || atPrepare.lsn === null ? null
        : { beforeCheckpoint: atPrepare.lsn.checkpoint, atFreeze: position.lsn.flushed },
    }
  }

  /** What was committed before the lock is in InnoDB's log on disk, whatever its settings are. */
  async #whenOnDisk(): Promise<Position> {
    const { holder, version, limits: { freezeMs }, flushesLater, clock } = this.#parts
    await holder.query('flush no_write_to_binlog engine logs', freezeMs)
    const locked = await askPosition(holder, version, freezeMs)
    const committed = locked.lsn?.written
    if (!flushesLater || committed === undefined) return locked
    const startMs = clock.monotonicMs()
    for (;;) {
      const position = await askPosition(holder, version, freezeMs)
      if (BigInt(position.lsn?.flushed ?? 0) >= BigInt(committed)) return position
      if (clock.monotonicMs() - startMs > freezeMs) {
        throw new Fault('writer-timeout', 'InnoDB did not write its log to disk', {
          advice: 'Set innodb_flush_log_at_trx_commit to 1 or 2.' })
      }
      await clock.sleep(FLUSH_POLL_MS, never)
    }
  }

  async thaw(): Promise<WriterThawOutcome> {
    const { limits: { thawMs } } = this.#parts
    const frozen = this.#frozen
    // A freeze that is under way waits for somebody else; only its end lets go of what it has.
    if (frozen === undefined) return this.#endHolder('the freeze was not acknowledged')
    try {
      return await this.#release(frozen, thawMs / 2)
    } catch (error) {
      return this.#endHolder(error instanceof Error ? printable(error.message) : 'unknown error')
    }
  }

  /** The same session still had the lock, and nothing was committed since it took it. */
  async #release(frozen: Position, limitMs: number): Promise<WriterThawOutcome> {
    const { holder, version, method, connectionId } = this.#parts
    const isSame = await askConnectionId(holder, limitMs) === connectionId
    const position = await askPosition(holder, version, limitMs)
    await holder.query(method.thaw, limitMs)
    const isStill = position.binlog === frozen.binlog
    return {
      state: 'thawed', heldThroughout: isSame && isStill,
      statement: `connection ${connectionId} released its lock: ${describe(position)}` +
        (isStill ? '' : `, but it had frozen at ${describe(frozen)}`),
    }
  }

  /** Ends the session that holds, through the other one, and looks whether it is gone. */
  async #endHolder(why: string): Promise<WriterThawOutcome> {
    const { holder, guard, connectionId, limits: { thawMs }, clock } = this.#parts
    holder.destroy()
    const isThere = async (): Promise<boolean> => {
      const rows = await guard.query(
        `select id from information_schema.processlist where id = ${connectionId}`, thawMs)
      return rows.length > 0
    }
    // A session of a statement that waits does not notice that its client has gone.
    while (await isThere()) {
      await guard.query(`kill ${connectionId}`, thawMs).catch(() => []) // it may just have ended
      await clock.sleep(FLUSH_POLL_MS, never)
    }
    return {
      state: 'thawed', heldThroughout: false,
      statement: `connection ${connectionId} has ended, and its lock: ${why}`,
    }
  }

  letGo(why: string): WriterThawOutcome {
    this.#parts.holder.destroy()
    this.#parts.guard.destroy()
    return { state: 'unknown', detail: `${why}; its session was ended, which releases its lock` }
  }

  complete(): Promise<WriterStatement> {
    return Promise.resolve({ statement: 'the server keeps no account of this kind of backup' })
  }

  async close(): Promise<void> {
    await this.#parts.holder[Symbol.asyncDispose]()
    await this.#parts.guard[Symbol.asyncDispose]()
  }
}

/**
 * How long a statement of this session may wait for a lock, and how long the session may be idle.
 * Whole seconds, and MariaDB's limit of a statement besides, which is finer.
 */
export function sessionLimits(
  { flavour }: ServerVersion, waitMs: number, idleSeconds: number): string {
  const statement = flavour === 'MariaDB' ? `, max_statement_time = ${waitMs / 1000}` : ''
  return `set session lock_wait_timeout = ${Math.max(1, Math.ceil(waitMs / 1000))}, ` +
    `wait_timeout = ${idleSeconds}${statement}`
}

function describe({ binlog, lsn }: Position): string {
  const log = binlog === null ? 'no binary log' : `binlog ${binlog}`
  return lsn === null ? log : `${log}, InnoDB lsn ${lsn.flushed} on disk of ${lsn.written}`
}

const never = new AbortController().signal
