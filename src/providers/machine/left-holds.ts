/** Holds that a killed run left: released before anything else is done. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { printable } from '../../base/text.ts'
import type { FreezerMissing } from '../../consistency/mod.ts'
import { thawLeftovers } from '../guardian/leftovers.ts'
import { listRecords, type HoldSockets } from '../guardian/record.ts'

export interface LeftHolds {
  readonly runDir: string
  readonly sockets: HoldSockets
  readonly clock: Clock
  readonly log: Log
}

/**
 * For a prepare: a hold that cannot be shown to be released makes the agent useless for this run,
 * and is returned. `before` is called if there is anything to release. Faults: `machine-busy`.
 */
export async function releaseLeftHolds(
  { runDir, sockets, clock, log }: LeftHolds, before: () => Promise<void>, signal: AbortSignal,
): Promise<FreezerMissing | undefined> {
  if (listRecords(runDir).length === 0) return undefined
  await before()
  for (const left of await thawLeftovers(runDir, sockets, clock, {}, signal)) {
    const { frozenSinceMs, stoppedSinceMs } = left.record
    if (left.released) log.warn('hold.leftover-released', { frozenSinceMs, stoppedSinceMs })
    else {
      log.error('hold.leftover-not-released', { frozenSinceMs, detail: left.detail })
      return { missing: 'agent-silent', detail:
        `a hold of an earlier run cannot be shown to be released: ${left.detail}` }
    }
  }
  return undefined
}

/** For a recovery by hand: what was released, one sentence each. Faults: `thaw-failed`. */
export async function recoverHolds(
  { runDir, sockets, clock }: LeftHolds, signal: AbortSignal): Promise<readonly string[]> {
  const holds = await thawLeftovers(runDir, sockets, clock, {}, signal)
  const stuck = holds.find(({ released }) => !released)
  if (stuck !== undefined) {
    throw new Fault('thaw-failed', 'a hold of an earlier run cannot be shown to be released: ' +
      printable(stuck.detail), {
      retry: 'later', advice: 'Run guest-fsfreeze-thaw through the agent, or restart the guest.' })
  }
  return holds.map(({ record }) => `a hold ${sinceWhen(record.frozenSinceMs)} was released`)
}

function sinceWhen(frozenSinceMs: number | undefined): string {
  return frozenSinceMs === undefined
    ? 'of the stopped machine' : `since ${new Date(frozenSinceMs).toISOString()}`
}
