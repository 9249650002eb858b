/** Freezes through qemu-ga and a guardian: the FileSystemFreezer of the consistency room. */

import { abortable, type Clock } from '../../base/clock.ts'
import type {
  FileSystemFreezer, FreezeAttempt, FreezeLimits, GuestFileSystem, GuestPrograms, ThawOutcome,
} from '../../consistency/mod.ts'
import type { AgentDiskAddress } from './agent-file-systems.ts'
import type { Guard } from './guard.ts'
import { QemuPrograms } from '../machine/guest-programs.ts'
import type { GuestCommand } from './protocol.ts'

export interface FreezerOptions {
  readonly guard: Guard
  readonly clock: Clock
  /** What it says it is, and how it will freeze. */
  readonly agent: string
  /** The SetDisk ids at the addresses; one that cannot be told is left out. */
  readonly diskIdsOf: (addresses: readonly AgentDiskAddress[]) => readonly string[]
}

/** The guard stays the caller's to dispose, after the last thaw. */
export class GuardedFreezer implements FileSystemFreezer {
  readonly agent: string
  readonly programs: GuestPrograms
  readonly #options: FreezerOptions

  constructor(options: FreezerOptions) {
    this.agent = options.agent
    this.#options = options
    const { guard, clock } = options
    this.programs = new QemuPrograms((command, args, signal) =>
      abortable(guard.guest(command as GuestCommand, args), signal), clock)
  }

  async fileSystems(signal: AbortSignal): Promise<readonly GuestFileSystem[]> {
    const { guard, diskIdsOf } = this.#options
    const listed = await abortable(guard.fileSystems(), signal)
    return listed.map(({ mountpoint, type, device, disks }) => ({
      mountpoint, type, device, diskIds: diskIdsOf(disks) }))
  }

  beginFreeze(limits: FreezeLimits): FreezeAttempt {
    return new GuardedAttempt(this.#options.guard, this.#options.clock, limits)
  }
}

class GuardedAttempt implements FreezeAttempt {
  readonly held: Promise<{ readonly count: number }>
  readonly #guard: Guard
  readonly #clock: Clock
  readonly #limits: FreezeLimits
  #wasHeld = false
  #isEarly = false
  #issuedMs: number | undefined
  #answeredMs: number | undefined
  #outcome: Promise<ThawOutcome> | undefined

  constructor(guard: Guard, clock: Clock, limits: FreezeLimits) {
    this.#guard = guard
    this.#clock = clock
    this.#limits = limits
    this.held = this.#freeze()
    this.held.catch(() => {}) // the thaw tells what became of it
  }

  async #freeze(): Promise<{ readonly count: number }> {
    const held = await this.#guard.freeze(this.#limits, {
      onThawIssued: (early) => {
        this.#isEarly ||= early
        this.#issuedMs ??= this.#clock.monotonicMs()
      },
      onThawAnswered: () => { this.#answeredMs ??= this.#clock.monotonicMs() },
    })
    this.#wasHeld = true
    return held
  }

  thaw(): Promise<ThawOutcome> {
    this.#outcome ??= this.#thaw()
    return this.#outcome
  }

  async #thaw(): Promise<ThawOutcome> {
    // The earliest moment at which the guest may have gone on: the hold is never made longer.
    this.#issuedMs ??= this.#clock.monotonicMs()
    const release = await this.#guard.thaw(this.#limits.thawMs)
    if (release.state === 'unknown') return release
    // A hold that was acknowledged and is found released was released behind our back.
    if (release.state === 'not-frozen' && !this.#wasHeld) return release
    const { count, early } =
      release.state === 'thawed' ? release : { count: undefined, early: true }
    return {
      state: 'thawed',
      count,
      early: early || this.#isEarly,
      issuedMs: this.#issuedMs,
      acknowledgedMs: this.#answeredMs ?? this.#clock.monotonicMs(),
    }
  }
}
