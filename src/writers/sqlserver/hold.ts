/**
 * The hold of SQL Server: one session suspends the databases for a snapshot, another can end the
 * first, and a third does that by itself once all limits are over: the dead man's handle.
 */

import { rm } from 'node:fs/promises'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { WriterLimits, WriterStatement, WriterThawOutcome } from '../../consistency/mod.ts'
import type { FreezeAnswer, HoldSteps } from '../prepared-writer.ts'
import type { SqlSession } from '../sql-session.ts'
import {
  askDatabases, askSuspended, bracketed, isSessionThere, isWaiting, killStatement, quoted,
  type Databases, type ServerVersion, type Suspended,
} from './questions.ts'

/** How often the server is asked whether it is as far. */
const POLL_MS = 10
/** What the server's clock and ours may differ by in a hold: a share, and a little. */
const CLOCK = { share: 0.98, littleMs: 50 }

/** A session, its number, and the name of its program, which nobody else's has. */
export interface NamedSession {
  readonly session: SqlSession
  readonly id: string
  readonly program: string
}

export interface HoldParts {
  readonly holder: NamedSession
  readonly guard: NamedSession
  readonly watch: NamedSession
  readonly version: ServerVersion
  readonly databases: Databases
  /** Where the server is to leave what it says of this backup; undefined: nowhere. */
  readonly metadataFile: string | undefined
  readonly limits: WriterLimits
  readonly clock: Clock
}

/** What the server said at the freeze, and when, by our monotonic clock. */
interface Frozen {
  readonly suspended: readonly Suspended[]
  readonly atMs: number
}

export class SqlServerHold implements HoldSteps {
  readonly #parts: HoldParts
  #frozen: Frozen | undefined
  #wasAsked = false
  #metadata: 'none' | 'written' | 'kept' = 'none'

  constructor(parts: HoldParts) {
    this.#parts = parts
  }

  async freeze(): Promise<FreezeAnswer> {
    const { holder, version, databases, limits: { freezeMs }, clock } = this.#parts
    await this.#armWatch()
    this.#wasAsked = true
    await holder.session.query(`alter server configuration set suspend_for_snapshot_backup = on (` +
      `group = (${groupOf(databases)}), mode = copy_only)`, freezeMs)
    const suspended = await askSuspended(holder.session, freezeMs)
    const atMs = clock.monotonicMs()
    const now = await askDatabases(holder.session, freezeMs)
    if (now.online.join('\0') !== databases.online.join('\0')) {
      throw new Fault('writer-failed', 'a database came or went while the backup began', {
        retry: 'now' })
    }
    const left = databases.online.filter((name) => !suspended.some((it) =>
      it.name === name && it.session === holder.id && it.isFrozen && !it.isCleared))
    if (left.length > 0) {
      throw new Fault('writer-failed',
        `it does not hold ${printable(left.join(', '), 300)}: ${describe(suspended)}`)
    }
    this.#frozen = { suspended, atMs }
    const others = databases.others.length === 0 ? ''
      : `; not open: ${printable(databases.others.join(', '), 300)}`
    return {
      statement: `SQL Server ${version.text}, session ${holder.id}, SUSPEND_FOR_SNAPSHOT_BACKUP, ` +
        `COPY_ONLY: ${describe(suspended)}${others}`,
      positions: null,
    }
  }

  /** The server itself will end the holder; known to be under way before anything is held. */
  async #armWatch(): Promise<void> {
    const { holder, guard, watch, limits: { freezeMs, holdMs, thawMs }, clock } = this.#parts
    const afterMs = Math.ceil(freezeMs + holdMs + thawMs)
    watch.session.query(`waitfor delay '${delayOf(afterMs)}'; ` +
      killStatement(holder.id, holder.program), 2 * afterMs + 60_000).catch(() => {})
    while (!await isWaiting(guard.session, watch.id, freezeMs)) {
      if (!watch.session.isOpen) throw new Fault('writer-failed', 'a session of ours was ended')
      await clock.sleep(POLL_MS, never)
    }
  }

  async thaw(): Promise<WriterThawOutcome> {
    try {
      const frozen = this.#frozen
      if (!this.#wasAsked) {
        return { state: 'thawed', heldThroughout: false, statement: 'no hold was asked for' }
      }
      // A freeze that is under way waits for somebody; only its end lets go of what it has.
      if (frozen === undefined) return await this.#endHolder('the freeze was not acknowledged')
      try {
        return await this.#release(frozen)
      } catch (error) {
        return await this.#endHolder(messageOf(error))
      }
    } finally {
      this.#parts.watch.session.destroy() // the server then waits no longer
    }
  }

  async #release(
    { suspended, atMs }: Frozen): Promise<WriterThawOutcome> {
    const { holder, limits: { thawMs }, clock } = this.#parts
    const limitMs = thawMs / 4
    const passedMs = (clock.monotonicMs() - atMs) * CLOCK.share - CLOCK.littleMs
    const now = await askSuspended(holder.session, limitMs)
    // One that was let go and suspended again has begun to count anew.
    const lost = suspended.filter((then) => !now.some((it) => it.name === then.name &&
      it.session === holder.id && it.isFrozen && it.ms >= then.ms + passedMs))
    const how = await this.#resume(limitMs)
    const after = await askSuspended(holder.session, limitMs)
    if (after.some(({ session }) => session === holder.id)) {
      throw new Fault('writer-failed', 'it did not let go')
    }
    const remark = lost.length === 0 ? ''
      : `; not held throughout: ${printable(lost.map(({ name }) => name).join(', '), 300)}`
    return {
      state: 'thawed', heldThroughout: lost.length === 0,
      statement: `session ${holder.id} ${how}: ${describe(now)}${remark}`,
    }
  }

  /** By the metadata of a backup where that is wanted: it ends the hold, too. */
  async #resume(limitMs: number): Promise<string> {
    const { holder: { session }, databases, metadataFile } = this.#parts
    let why = ''
    if (metadataFile !== undefined) {
      try {
        await session.query(`backup group ${groupOf(databases)} ` +
          `to disk = ${quoted(metadataFile)} with metadata_only, format`, limitMs)
        this.#metadata = 'written'
        return `resumed, its metadata in ${metadataFile}`
      } catch (error) {
        if (!session.isOpen) throw error
        why = `, but wrote no metadata (${messageOf(error)})`
      }
    }
    await session.query(
      'alter server configuration set suspend_for_snapshot_backup = off', limitMs)
    return `resumed${why}`
  }

  /** Ends the session that holds, through another, and looks whether it is gone. */
  async #endHolder(why: string): Promise<WriterThawOutcome> {
    const { holder: { session, id, program }, guard, limits: { thawMs }, clock } = this.#parts
    session.destroy()
    const holds = async (): Promise<boolean> =>
      await isSessionThere(guard.session, id, program, thawMs) ||
      (await askSuspended(guard.session, thawMs)).some((it) => it.session === id)
    while (await holds()) {
      // It may just have ended by itself.
      await guard.session.query(killStatement(id, program), thawMs).catch(() => [])
      await clock.sleep(POLL_MS, never)
    }
    return {
      state: 'thawed', heldThroughout: false,
      statement: `session ${id} has ended, and what it held: ${why}`,
    }
  }

  letGo(why: string): WriterThawOutcome {
    this.#destroyAll()
    if (!this.#wasAsked) return { state: 'thawed', heldThroughout: false, statement: why }
    return { state: 'unknown', detail: `${why}; its session was ended, which ends the hold` }
  }

  complete(): Promise<WriterStatement> {
    const { metadataFile } = this.#parts
    if (this.#metadata !== 'written') {
      return Promise.resolve({ statement: 'the server keeps no account of this backup' })
    }
    this.#metadata = 'kept'
    return Promise.resolve({ statement: `the server describes it in ${metadataFile ?? ''}` })
  }

  /** Metadata of a backup that came to nothing is none. */
  async close(): Promise<void> {
    this.#destroyAll()
    const { metadataFile } = this.#parts
    if (metadataFile !== undefined && this.#metadata === 'written') {
      await rm(metadataFile, { force: true })
    }
  }

  #destroyAll(): void {
    const { holder, guard, watch } = this.#parts
    for (const { session } of [holder, guard, watch]) session.destroy()
  }
}

function groupOf({ online }: Databases): string {
  return online.map(bracketed).join(', ')
}

/** As the server answered. */
function describe(suspended: readonly Suspended[]): string {
  return printable(suspended.map(({ name, session, ms, isFrozen }) =>
    `${name} ${isFrozen ? 'frozen' : 'not frozen'} for ${ms} ms by session ${session}`)
    .join(', ') || 'nothing is suspended', 4000)
}

/** As WAITFOR wants it: hours, minutes, seconds; limits are at most half an hour each. */
function delayOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? printable(error.message) : 'unknown error'
}

const never = new AbortController().signal
