/** A guest in memory: file systems that freeze, and an agent with its habits. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type {
  FileSystemFreezer, FreezeAttempt, FreezeLimits, GuestFileSystem, ThawOutcome,
} from '../freezer.ts'
import { expectedCount } from '../guest-mounts.ts'
import { SAMPLE_MOUNTS } from './sample-evidence.ts'

/** How an agent may misbehave, all of it seen on real ones. */
export interface AgentHabits {
  /** It freezes, and the call fails all the same. */
  readonly failsAfterFreezing?: boolean
  /** It fails and freezes nothing. */
  readonly failsBeforeFreezing?: boolean
  /** It never answers a freeze, though it may have frozen. */
  readonly neverAnswersFreeze?: boolean
  /** It never answers a thaw, though it thaws. */
  readonly neverAnswersThaw?: boolean
  /** File systems that it does not freeze, though it lists them. */
  readonly passesOver?: number
  /** It states no count at the thaw. */
  readonly statesNoThawCount?: boolean
}

export interface FakeFreezerOptions {
  readonly clock: Clock
  readonly mounts?: readonly GuestFileSystem[]
  readonly habits?: AgentHabits
  /** Steps as they happen: `freeze guest`, `thaw guest`. */
  readonly journal?: string[]
  /** How long a freeze and a thaw take. */
  readonly delayMs?: number
}

/** Freezes what it lists but vfat and network mounts, as qemu-ga does. */
export class FakeFreezer implements FileSystemFreezer {
  readonly agent = 'fake-ga 1.0'
  /** What the guest really is now; `undefined` while it runs. */
  frozen: { count: number } | undefined
  /** Changed by tests to mount and unmount. */
  mounts: readonly GuestFileSystem[]
  readonly #options: FakeFreezerOptions

  constructor(options: FakeFreezerOptions) {
    this.#options = options
    this.mounts = options.mounts ?? SAMPLE_MOUNTS
  }

  async fileSystems(signal: AbortSignal): Promise<readonly GuestFileSystem[]> {
    await this.#options.clock.sleep(0, signal)
    if (this.frozen !== undefined) {
      throw new Fault('agent-refused', 'the agent lists nothing while the guest is frozen')
    }
    return this.mounts
  }

  beginFreeze(_limits: FreezeLimits): FreezeAttempt {
    let outcome: Promise<ThawOutcome> | undefined
    const held = this.#freeze()
    held.catch(() => {})
    return { held, thaw: () => outcome ??= this.#thaw(held) }
  }

  /** Somebody in the guest thaws one file system behind our back. */
  thawOne(): void {
    if (this.frozen !== undefined) this.frozen.count--
  }

  async #freeze(): Promise<{ readonly count: number }> {
    const { journal, habits = {}, clock, delayMs = 5 } = this.#options
    journal?.push('freeze guest')
    await clock.sleep(delayMs, never)
    if (habits.failsBeforeFreezing === true) throw new Fault('freeze-failed', 'the hook failed')
    const count = Math.max(0, expectedCount(this.mounts) - (habits.passesOver ?? 0))
    this.frozen = { count }
    if (habits.failsAfterFreezing === true) throw new Fault('timed-out', 'no answer to the freeze')
    if (habits.neverAnswersFreeze === true) await new Promise(() => {})
    return { count }
  }

  async #thaw(held: Promise<unknown>): Promise<ThawOutcome> {
    const { journal, habits = {}, clock, delayMs = 5 } = this.#options
    journal?.push('thaw guest')
    const issuedMs = clock.monotonicMs()
    // An agent answers in order; a freeze that never answers is one whose client gave up.
    if (habits.neverAnswersFreeze !== true) await held.catch(() => {})
    await clock.sleep(delayMs, never)
    const was = this.frozen
    this.frozen = undefined
    if (habits.neverAnswersThaw === true) await new Promise(() => {})
    if (was === undefined) return { state: 'not-frozen' }
    return {
      state: 'thawed', count: habits.statesNoThawCount === true ? undefined : was.count,
      early: false, issuedMs, acknowledgedMs: clock.monotonicMs(),
    }
  }
}

const never = new AbortController().signal
