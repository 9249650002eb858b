/** The grade that a first backup is held to: what could be expected of it before the hold. */

import { throwIfAborted } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import {
  predictGrade, type FileSystemList, type Freezing, type Grade, type PlatformQuiesce,
  type PreparedSet,
} from '../consistency/mod.ts'
import type { RoundOfApplications } from './applications.ts'
import { withStated } from './stated-applications.ts'

/** What a platform foretells; `unknown` where it can foretell, and could not. */
export type Foretold = PlatformQuiesce | 'unknown' | undefined

/** Asked before the hold. Faults: the signal's reason. */
export async function foretell(
  set: PreparedSet, log: Log, signal: AbortSignal): Promise<Foretold> {
  if (set.heldBy !== 'platform' || set.foretell === undefined) return undefined
  try {
    return await set.foretell(signal)
  } catch (error) {
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    log.warn('backup.not-foretold', { reason: error.message })
    return 'unknown'
  }
}

export interface KnownBefore {
  readonly set: PreparedSet
  readonly excludes: readonly string[]
  readonly applications: RoundOfApplications
  /** The agent's list before the freeze. */
  readonly list: FileSystemList
  readonly foretold: Foretold
}

/** Of a run in which every step goes well; what could not be foretold counts as the best. */
export function expectedGrade(
  { set, excludes, applications, list, foretold }: KnownBefore): Grade {
  if (foretold === 'unknown' && set.heldBy === 'platform') {
    return set.expected === 'none' ? 'crash' : set.expected
  }
  const quiesce = foretold === 'unknown' ? undefined : foretold
  const { power, disks, leftOut } = set
  return predictGrade({
    power, disks, leftOut, excludes,
    applications: withStated(applications.prospect(list), quiesce ?? {}, { disks, leftOut }),
    freezing: freezingOf(set, list, quiesce),
  }).grade
}

function freezingOf(
  set: PreparedSet, list: FileSystemList, expected: PlatformQuiesce | undefined): Freezing {
  if (set.heldBy === 'platform') {
    return { by: 'platform', level: set.expected, ...expected === undefined ? {} : { expected } }
  }
  if ('missing' in set.freezer) return set.freezer
  return { by: 'agent', agent: set.freezer.agent, fileSystems: list }
}
