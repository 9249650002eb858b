/**
 * The freezer SPI: holds the file systems of a guest still, through its agent and a guardian.
 *
 * An agent may freeze although the call fails or its client dies, so a thaw
 * follows every attempt, and what holds the agent connection is a process of its own.
 */

import type { GuestPrograms } from './guest-programs.ts'

/** A file system as the guest's agent lists it. All strings are foreign. */
export interface GuestFileSystem {
  readonly mountpoint: string
  /** The kernel's name for the type: `ext4`, `xfs`, `vfat`, `NTFS` … */
  readonly type: string
  /** The guest's name of the device: `vda1`, `dm-0`. */
  readonly device: string
  /**
   * The ids of the machine's disks it lies on, captured or left out, as far as the agent's
   * addresses tell; empty if unknown.
   */
  readonly diskIds: readonly string[]
}

export interface FreezeLimits {
  /** From the issue of the freeze to its acknowledgement, hooks included. */
  readonly freezeMs: number
  /** From the acknowledgement to the thaw: past it the guardian thaws by itself. */
  readonly holdMs: number
  /** For the thaw to be acknowledged. */
  readonly thawMs: number
}

export interface FileSystemFreezer {
  /** What the agent says it is, verbatim: name and version. Foreign text. */
  readonly agent: string
  /** Where the agent offers that, at other times than in a hold. */
  readonly programs?: GuestPrograms
  /** The file systems the agent lists now. Faults: `agent-*`, `timed-out`. */
  fileSystems(signal: AbortSignal): Promise<readonly GuestFileSystem[]>
  /**
   * Starts freezing. Never throws: the attempt exists, and must be thawed, before the first byte
   * is sent.
   */
  beginFreeze(limits: FreezeLimits): FreezeAttempt
}

export interface FreezeAttempt {
  /**
   * Resolves when the agent acknowledges, with the count it states; rejects with `freeze-failed`,
   * `agent-*`, `guardian-failed` or `timed-out`; also then the guest may be frozen.
   */
  readonly held: Promise<{ readonly count: number }>
  /**
   * Thaws, whatever became of the freeze; idempotent (later calls return the first outcome). Has
   * its own deadline and never rejects.
   */
  thaw(): Promise<ThawOutcome>
}

/** What is known after the thaw. */
export type ThawOutcome =
  | {
      readonly state: 'thawed'
      /** The file systems the agent says it thawed; undefined where it states none. */
      readonly count: number | undefined
      /** True if the guardian thawed by itself (deadline) before we asked: the hold is void. */
      readonly early: boolean
      /** By the monotonic clock of the caller. */
      readonly issuedMs: number
      readonly acknowledgedMs: number
    }
  | { readonly state: 'not-frozen' }
  | { readonly state: 'unknown'; readonly detail: string }

export interface FreezerMissing {
  /** Why no freeze can be tried: shown to the operator as the reason for the grade. */
  readonly missing:
    | 'no-agent-configured' | 'agent-silent' | 'agent-disabled' | 'agent-busy'
    | 'would-truncate-logs' // a freeze would be a backup of VSS that is not of the type COPY
  readonly detail: string
}
