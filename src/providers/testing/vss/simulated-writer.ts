/** A writer of the simulator: what it is told, and which state that leaves it in. */

import { VSS_E, WRITER_STATES } from '../../vss/session/hresult.ts'
import type { FailedComponent, WriterStatus } from '../../vss/session/transport.ts'
import { VSS_EVENTS, type ScriptedWriter, type VssEvent } from './scenario.ts'

/** VSS_WRITER_STATE when the event went well, and when it did not (vss.h). */
const STATES: Readonly<Record<Exclude<VssEvent, 'Abort'>, readonly [well: number, not: number]>> = {
  Identify: [1, WRITER_STATES.indexOf('FAILED_AT_IDENTIFY')],
  PrepareForBackup: [1, WRITER_STATES.indexOf('FAILED_AT_PREPARE_BACKUP')],
  PrepareForSnapshot: [2, WRITER_STATES.indexOf('FAILED_AT_PREPARE_SNAPSHOT')],
  Freeze: [3, WRITER_STATES.indexOf('FAILED_AT_FREEZE')],
  Thaw: [4, WRITER_STATES.indexOf('FAILED_AT_THAW')],
  PostSnapshot: [5, WRITER_STATES.indexOf('FAILED_AT_POST_SNAPSHOT')],
  BackupComplete: [1, WRITER_STATES.indexOf('FAILED_AT_BACKUP_COMPLETE')],
  BackupShutdown: [1, WRITER_STATES.indexOf('FAILED_AT_BACKUPSHUTDOWN')],
}

export class SimulatedWriter {
  readonly script: ScriptedWriter
  readonly #journal: string[]
  readonly #fails: boolean
  #state: number = WRITER_STATES.indexOf('STABLE')
  #failure = 0
  #isSilent = false
  #isPrepared = false

  /** `conversation` counts from 0: what fails a number of times fails in the first ones. */
  constructor(script: ScriptedWriter, conversation: number, journal: string[]) {
    this.script = script
    this.#journal = journal
    this.#fails = script.fails !== undefined && conversation < (script.fails.times ?? Infinity)
  }

  /** Answered Identify. */
  get isThere(): boolean {
    return !(this.#isSilent && this.script.silentFrom === 'Identify') &&
      this.#state !== WRITER_STATES.indexOf('FAILED_AT_IDENTIFY')
  }

  get status(): WriterStatus {
    const { writerId, instanceId, name, left } = this.script
    if (left !== undefined && !this.#isPrepared) return { writerId, instanceId, name, ...left }
    return { writerId, instanceId, name, state: this.#state, failure: this.#failure }
  }

  /** What its components say of its failure. */
  get failedComponents(): readonly FailedComponent[] {
    const { fails } = this.script
    return this.#failure !== 0 && this.#failure === fails?.hresult ? fails.components ?? [] : []
  }

  /** False if VSS gives up because of it. */
  hear(event: VssEvent): boolean {
    const { writerId, fails, silentFrom } = this.script
    if (event !== 'Identify') this.#isPrepared = true
    if (this.#failure !== 0 && event !== 'BackupShutdown') return true // it is out of the race
    if (silentFrom !== undefined && event !== 'Abort' &&
      VSS_EVENTS.indexOf(event) >= VSS_EVENTS.indexOf(silentFrom)) {
      this.#isSilent = true
      this.#failure = VSS_E.WRITER_NOT_RESPONDING
      return event !== 'Freeze' && event !== 'Thaw'
    }
    this.#journal.push(`${event} ${writerId}`)
    if (event === 'Abort') {
      this.#state = WRITER_STATES.indexOf('STABLE')
      return true
    }
    const [well, not] = STATES[event]
    if (this.#fails && fails?.at === event) {
      this.#state = not
      this.#failure = fails.hresult
      return event !== 'Freeze' && event !== 'Thaw'
    }
    if (this.#failure === 0) this.#state = well
    return true
  }
}
