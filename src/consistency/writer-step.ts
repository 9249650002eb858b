/** One writer's part in a hold, and the evidence of it. */

import type { Clock } from '../base/clock.ts'
import { unreachable } from '../base/unreachable.ts'
import type {
  LogPositions, WriterEvidence, WriterFreezeEvidence, WriterThawEvidence,
} from './evidence.ts'
import { HoldStep, type Note } from './hold-step.ts'
import { observedFault, observedPositions, observedText } from './observed.ts'
import type { PreparedWriter, WriterStatement, WriterThawOutcome } from './writer.ts'

export class WriterStep {
  readonly step: HoldStep<
    WriterStatement & { readonly positions: LogPositions | null }, WriterThawOutcome>
  readonly #writer: PreparedWriter

  constructor(writer: PreparedWriter, clock: Clock, note: Note) {
    this.#writer = writer
    this.step = new HoldStep(
      writer.application.name, () => writer.beginFreeze(), writer.limits, clock, note)
  }

  /** What it did; thaws it if that has not been done. */
  async evidence(): Promise<WriterEvidence> {
    const thaw = await this.#thawEvidence()
    const freeze = this.#freezeEvidence()
    if (thaw === undefined || freeze === undefined) {
      return { contract: 'none', reason: 'not-tried', detail: '' }
    }
    const { contract, limits } = this.#writer
    const hold = { limitMs: limits.holdMs, freeze, thaw }
    return contract.kind === 'held' ? { contract: 'held', ...hold }
      : { contract: 'recoverable', durability: contract.durability, ...hold }
  }

  #freezeEvidence(): WriterFreezeEvidence | undefined {
    const { frozen } = this.step
    if (frozen === undefined) return undefined
    if (frozen.state === 'failed') {
      const { issuedMs, failedMs, error } = frozen
      return { state: 'failed', issuedMs, failedMs, fault: observedFault(error) }
    }
    const { issuedMs, acknowledgedMs, answer: { statement, positions } } = frozen
    return {
      state: 'acknowledged', issuedMs, acknowledgedMs, statement: observedText(statement),
      positions: observedPositions(positions),
    }
  }

  async #thawEvidence(): Promise<WriterThawEvidence | undefined> {
    const thawed = await this.step.thaw()
    if (thawed === undefined) return undefined
    const { issuedMs, answeredMs, outcome } = thawed
    if (outcome === undefined) {
      return { state: 'unknown', issuedMs, detail: 'no answer within its limit' }
    }
    switch (outcome.state) {
      case 'thawed': return {
        state: 'thawed', issuedMs, acknowledgedMs: answeredMs,
        heldThroughout: outcome.heldThroughout, statement: observedText(outcome.statement) }
      case 'unknown': return { state: 'unknown', issuedMs, detail: observedText(outcome.detail) }
      default: return unreachable(outcome)
    }
  }
}
