/** What all sets do alike that a platform holds: its snapshot goes, and it tells changes. */

import type { Clock } from '../../base/clock.ts'
import { isFault, type FaultCode } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import type { DiskBase, FullReason } from '../../consistency/mod.ts'
import type { Range } from '../../disk/mod.ts'

/** Between one attempt to give a snapshot back and the next. */
const GIVE_BACK_PAUSES_MS: readonly number[] = [1_000, 5_000, 15_000]

export interface GivingBack {
  readonly clock: Clock
  readonly log: Log
  /** The event of the log that says that it stays, and what then. */
  readonly left: string
  readonly fields: Readonly<Record<string, string>>
  /** That the machine is gone, and so is its snapshot. */
  readonly gone: FaultCode
}

/**
 * Calls `remove` until it succeeds, a few times. Never throws: what stays is said, and goes at the
 * next run.
 */
export async function giveBack(
  { clock, log, left, fields, gone }: GivingBack,
  remove: (signal: AbortSignal) => Promise<void>, signal: AbortSignal,
): Promise<'removed' | 'machine-gone' | 'left'> {
  for (let attempt = 0; ; attempt++) {
    try {
      await remove(signal)
      return 'removed'
    } catch (error) {
      const pauseMs = GIVE_BACK_PAUSES_MS[attempt]
      if (isFault(error, gone)) return 'machine-gone'
      if (pauseMs === undefined || signal.aborted) {
        log.error(left, {
          ...fields, message: error instanceof Error ? error.message : String(error),
          advice: 'The next backup on this host removes it.' })
        return 'left'
      }
      await clock.sleep(pauseMs, signal).catch(() => {})
    }
  }
}

/** What the instant showed of the bases. */
export interface TrackedInstant {
  /** By disk id, of those whose base holds. */
  readonly changes: ReadonlyMap<string, readonly Range[]>
  readonly lostBases: ReadonlyMap<string, FullReason>
}

export const UNTRACKED: TrackedInstant = { changes: new Map(), lostBases: new Map() }

export interface BasedDisks<Disk, Before> {
  readonly bases: ReadonlyMap<string, DiskBase>
  /** By disk id: where the instant is, and what is kept of the base's. */
  readonly captured: ReadonlyMap<string, Disk>
  readonly before: Readonly<Record<string, Before>>
}

/**
 * Asks of each disk with a base what has changed since: ranges, or why that cannot be told. Throws
 * what `ask` throws.
 */
export async function changesOfEach<Disk, Before>(
  { bases, captured, before }: BasedDisks<Disk, Before>,
  ask: (id: string, disk: Disk, before: Before) => Promise<readonly Range[] | FullReason>,
): Promise<TrackedInstant> {
  const changes = new Map<string, readonly Range[]>()
  const lostBases = new Map<string, FullReason>()
  for (const [id, disk] of captured) {
    const kept = before[id]
    if (kept === undefined || !('since' in (bases.get(id) ?? {}))) continue
    const found = await ask(id, disk, kept)
    if (typeof found === 'string') lostBases.set(id, found)
    else changes.set(id, found)
  }
  return { changes, lostBases }
}
