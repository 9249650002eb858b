/**
 * The hold of a Redis server: `CLIENT PAUSE … WRITE`. Three connections: one asks, one is the
 * witness (a command that the pause keeps unanswered), one stands by to end the pause.
 */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { WriterLimits, WriterStatement, WriterThawOutcome } from '../../consistency/mod.ts'
import type { FreezeAnswer, HoldSteps } from '../prepared-writer.ts'
import { syncFiles } from './files.ts'
import {
  askState, STATED, WITNESS, wroteNothing, type RedisSettings, type RedisState,
} from './questions.ts'
import type { RedisSession } from './session.ts'

/** How often the server is asked whether it has written or saved. */
const POLL_MS = 10

export interface HoldParts {
  readonly session: RedisSession
  readonly witness: RedisSession
  readonly spare: RedisSession
  readonly settings: RedisSettings
  readonly prepared: RedisState
  readonly limits: WriterLimits
  readonly clock: Clock
}

export class RedisHold implements HoldSteps {
  readonly #parts: HoldParts
  /** If nobody ends the pause, the server does, after all that may lie before. */
  readonly #pauseMs: number
  #wasAsked = false
  #isReleased = false
  #frozen: RedisState | undefined
  #witness: { readonly answered: Promise<unknown>; isOver: boolean } | undefined

  constructor(parts: HoldParts) {
    this.#parts = parts
    const { freezeMs, holdMs, thawMs } = parts.limits
    this.#pauseMs = Math.ceil(freezeMs + holdMs + thawMs)
  }

  async freeze(): Promise<FreezeAnswer> {
    const { session, settings, prepared, limits } = this.#parts
    this.#wasAsked = true
    await session.ask(['CLIENT', 'PAUSE', String(this.#pauseMs), 'WRITE'], limits.freezeMs)
    this.#beginWitness()
    const state = settings.persistence === 'aof' ? await this.#logged() : await this.#saved()
    const files = await syncFiles(settings)
    if (state.get('run_id') !== prepared.get('run_id')) throw changed('restarted')
    if (state.get('aof_enabled') !== prepared.get('aof_enabled')) throw changed('configured anew')
    this.#frozen = state
    const how = settings.persistence === 'aof'
      ? 'append-only file synced' : 'saved as a whole inside the hold'
    return {
      statement: `writes paused for at most ${this.#pauseMs} ms, ${how} (${files} files): ` +
        `${state.statement(STATED)}; ${settings.text}`,
      positions: { beforeCheckpoint: positionOf(prepared), atFreeze: positionOf(state) },
    }
  }

  #beginWitness(): void {
    const answered = this.#parts.witness.send(...WITNESS)
    const witness = { answered, isOver: false }
    const over = (): void => { witness.isOver = true }
    answered.then(over, over)
    this.#witness = witness
  }

  /** All that was acknowledged has left the server for its file, which a busy disk can delay. */
  async #logged(): Promise<RedisState> {
    const state = await this.#until((it) => it.get('aof_buffer_length') === '0')
    if (state.get('aof_last_write_status') !== 'ok') {
      throw new Fault('writer-failed', 'Redis cannot write to its append-only file', {
        advice: 'See its log; the disk may be full.' })
    }
    return state
  }

  /** A save that began after the pause has ended well: it is of the very state that is held. */
  async #saved(): Promise<RedisState> {
    const { session, limits } = this.#parts
    await this.#until(isIdle)
    await session.ask(['BGSAVE'], limits.freezeMs)
    const state = await this.#until(isIdle)
    if (state.get('rdb_last_bgsave_status') !== 'ok' ||
      state.number('rdb_changes_since_last_save') !== 0) {
      throw new Fault('writer-failed', 'Redis did not save what it has', {
        advice: 'See its log; the disk may be full, or memory too short for a fork.' })
    }
    return state
  }

  /** Asks until `isSo`. Faults: `writer-timeout`; `writer-failed` once the thaw has begun. */
  async #until(isSo: (state: RedisState) => boolean): Promise<RedisState> {
    const { session, limits: { freezeMs }, clock } = this.#parts
    const startMs = clock.monotonicMs()
    for (;;) {
      if (this.#isReleased) throw new Fault('writer-failed', 'it was thawed before it was frozen')
      const state = await askState(session, freezeMs)
      if (isSo(state)) return state
      if (clock.monotonicMs() - startMs > freezeMs) {
        throw new Fault('writer-timeout', 'Redis was not ready with its files in time', {
          advice: 'Raise the limit of the writer, or turn its append-only file on.' })
      }
      await clock.sleep(POLL_MS, never)
    }
  }

  async thaw(): Promise<WriterThawOutcome> {
    const { session, spare } = this.#parts
    this.#isReleased = true
    if (!this.#wasAsked) {
      return { state: 'thawed', heldThroughout: false, statement: 'no pause was asked for' }
    }
    // On the connection that asked for the pause, so that it cannot be overtaken.
    if (!session.isOpen) return this.#release(spare)
    try {
      return await this.#release(session)
    } catch (error) {
      if (session.isOpen || !spare.isOpen) throw error
      return this.#release(spare)
    }
  }

  async #release(session: RedisSession): Promise<WriterThawOutcome> {
    const limitMs = this.#parts.limits.thawMs / 2
    const frozen = this.#frozen
    const state = await askState(session, limitMs)
    const wasPaused = this.#witness?.isOver === false
    await session.ask(['CLIENT', 'UNPAUSE'], limitMs)
    await session.ask(WITNESS, limitMs) // answered: writes go on
    await this.#witness?.answered.catch(() => {})
    const isStill = frozen !== undefined && wroteNothing(frozen, state)
    const remarks = [
      ...(wasPaused ? [] : ['the pause had ended before']),
      ...(frozen === undefined ? ['the freeze was not acknowledged']
        : isStill ? [] : [`but it had frozen at ${frozen.statement(STATED)}`]),
    ]
    return {
      state: 'thawed', heldThroughout: wasPaused && isStill,
      statement: ['pause ended', state.statement(STATED), ...remarks].join('; '),
    }
  }

  letGo(why: string): WriterThawOutcome {
    this.#end()
    if (!this.#wasAsked) return { state: 'thawed', heldThroughout: false, statement: why }
    return {
      state: 'unknown',
      detail: `${printable(why)}; the server ends the pause ${this.#pauseMs} ms after it began`,
    }
  }

  complete(): Promise<WriterStatement> {
    return Promise.resolve({ statement: 'Redis keeps no account of backups' })
  }

  close(): Promise<void> {
    this.#end()
    return Promise.resolve()
  }

  #end(): void {
    const { session, witness, spare } = this.#parts
    for (const it of [session, witness, spare]) it.destroy()
  }
}

/** No child of the server's saves or rewrites. */
export function isIdle(state: RedisState): boolean {
  return ['rdb_bgsave_in_progress', 'aof_rewrite_in_progress', 'aof_rewrite_scheduled',
    'module_fork_in_progress'].every((name) => (state.get(name) ?? '0') === '0')
}

function positionOf(state: RedisState): string {
  return state.statement(['master_replid', 'master_repl_offset'])
}

function changed(how: string): Fault {
  return new Fault('writer-failed', `the server was ${how} since it was prepared`, { retry: 'now' })
}

const never = new AbortController().signal
