/** The part of every writer that is the same: limits, one attempt, one outcome, one ending. */

import { throwIfAborted, type Clock } from '../base/clock.ts'
import { printable } from '../base/text.ts'
import { Fault } from '../base/fault.ts'
import type {
  LogPositions, PreparedWriter, WriterAttempt, WriterStatement, WriterThawOutcome,
} from '../consistency/mod.ts'
import { within } from './limit.ts'

export type FreezeAnswer = WriterStatement & { readonly positions: LogPositions | null }

/** What one kind of application does; every step here may hang, fail or be cut off. */
export interface HoldSteps {
  /** Holds the application. Called once. */
  freeze(): Promise<FreezeAnswer>
  /** Releases it, also while `freeze` still runs. Called once, and only after `freeze` was. */
  thaw(): Promise<WriterThawOutcome>
  /**
   * The thaw failed or passed its limit: lets go at once by ending what holds. What is said of it
   * when nobody could be asked any more.
   */
  letGo(why: string): WriterThawOutcome
  /** Tells the application that the point is sealed. */
  complete(signal: AbortSignal): Promise<WriterStatement>
  /** Closes connections and the like, held or not; has its own limit. Called once. */
  close(): Promise<void>
}

/** A prepared writer made of its steps; owns them. */
export function preparedWriter(
  parts: Pick<PreparedWriter, 'application' | 'contract' | 'limits'>,
  steps: HoldSteps, clock: Clock,
): PreparedWriter {
  const { limits, application: { name } } = parts
  let attempt: WriterAttempt | undefined
  let closed: Promise<void> | undefined

  const begin = (): WriterAttempt => {
    let outcome: Promise<WriterThawOutcome> | undefined
    const held = closed === undefined
      ? within(clock, limits.freezeMs, `the freeze of ${name}`, () => steps.freeze())
      : Promise.reject(new Fault('writer-failed', `${name} was closed before its freeze`))
    held.catch(() => {})
    const thaw = async (): Promise<WriterThawOutcome> => {
      try {
        return await within(clock, limits.thawMs, `the thaw of ${name}`, () => steps.thaw())
      } catch (error) {
        return steps.letGo(error instanceof Error ? printable(error.message) : 'unknown error')
      }
    }
    return { held, thaw: () => outcome ??= thaw() }
  }

  const end = async (): Promise<void> => {
    await attempt?.thaw() // a hold that its owner forgot ends here
    closed ??= steps.close().catch(() => {})
    await closed
  }

  return {
    ...parts,
    beginFreeze: () => attempt ??= begin(),
    complete: async (signal) => {
      throwIfAborted(signal)
      try {
        return await steps.complete(signal)
      } finally {
        await end()
      }
    },
    abort: end,
    [Symbol.asyncDispose]: end,
  }
}
