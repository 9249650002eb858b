/**
 * The writer SPI: makes an application hold still round the instant, and can show that it did.
 *
 * The coordinator freezes writers in their order before it freezes file systems, and thaws them
 * in reverse order after these are thawed, whatever became of freeze and commit. What a writer
 * achieves is one of two contracts (docs/grades.md), which `gradeOf` finds in what it stated:
 *
 * - `held`: nothing commits between freeze and thaw.
 * - `recoverable`: the engine recovers by itself from one instant of all its data and logs; its
 *   durability settings were read and its log positions recorded.
 *
 * (`platform-stated`, the third, is for applications that a platform held: no writer of ours.)
 */

import type { ApplicationEvidence, Durability, LogPositions } from './evidence.ts'

/** An application and where its data lies, before anything was done about it. */
export type DiscoveredApplication = Omit<ApplicationEvidence, 'data' | 'writer'> & {
  readonly data: DataPlaces
  /** What the operator can do about it where no writer can hold it; for `no-writer`'s detail. */
  readonly advice?: string
}

/** Where all its data, log and tablespaces lie, in the guest's own terms. */
export type DataPlaces =
  /** At least one place; what several places share may be named once. */
  | { readonly state: 'located'; readonly places: readonly DataPlace[] }
  /** Some of it is outside the machine's disks: a network mount, a service elsewhere. */
  | { readonly state: 'outside'; readonly detail: string }
  | { readonly state: 'unknown'; readonly detail: string }

/** A folder or file, symbolic links resolved, and the mount that it lies on (proc(5) mountinfo). */
export interface DataPlace {
  readonly path: string
  readonly mountpoint: string
  /** The kernel's name for the type: `ext4`, `nfs4` … */
  readonly type: string
  /** What of its file system is mounted there, where that is not all of it: of a bind mount. */
  readonly root?: string
}

export interface Writer {
  /** What it can hold: `postgres`, `redis` … */
  readonly name: string
  /**
   * The applications of its kind on the machine; none if there are none. Changes nothing. Faults:
   * `writer-failed`, `timed-out` if it cannot be told: then they are unknown, not absent.
   */
  discover(signal: AbortSignal): Promise<readonly DiscoveredApplication[]>
  /**
   * All that is slow or fallible before the hold: connects, reads settings and the log position,
   * asks for a checkpoint. When it throws or is aborted, nothing is left behind in the application.
   * Faults: `writer-failed`, `writer-timeout`.
   */
  prepare(application: DiscoveredApplication, signal: AbortSignal): Promise<PreparedWriter>
}

export interface WriterLimits {
  /** From the issue of the freeze to its acknowledgement. */
  readonly freezeMs: number
  /** From the acknowledgement to the issue of the thaw; past it the coordinator thaws. */
  readonly holdMs: number
  /** For the thaw to be acknowledged. */
  readonly thawMs: number
}

/**
 * One application, ready to be held. After the thaw exactly one of `complete` and `abort` is
 * called; disposing without either counts as `abort`, is idempotent, keeps its own deadline and
 * reports instead of throwing.
 */
export interface PreparedWriter extends AsyncDisposable {
  readonly application: DiscoveredApplication
  readonly contract:
    | { readonly kind: 'held' }
    | { readonly kind: 'recoverable'; readonly durability: Durability }
  readonly limits: WriterLimits
  /**
   * Starts freezing, over what `prepare` opened: opens nothing, starts nothing, logs to no file.
   * Never throws: the attempt exists, and must be thawed, before the first byte is sent.
   */
  beginFreeze(): WriterAttempt
  /** Only after the point is sealed: tells the application, which may now truncate its logs. */
  complete(signal: AbortSignal): Promise<WriterStatement>
  /** The backup failed: leaves the application as if there had been none. */
  abort(signal: AbortSignal): Promise<void>
}

export interface WriterAttempt {
  /**
   * Resolves when the application acknowledges; rejects with `writer-failed` or `writer-timeout`;
   * also then it may be frozen.
   */
  readonly held: Promise<WriterStatement & { readonly positions: LogPositions | null }>
  /**
   * Thaws, whatever became of the freeze; idempotent (later calls return the first outcome). Has
   * its own deadline and never rejects.
   */
  thaw(): Promise<WriterThawOutcome>
}

/** What the application itself answered, verbatim: foreign text. */
export interface WriterStatement {
  readonly statement: string
}

export type WriterThawOutcome =
  /** `heldThroughout`: the application confirmed that it had held until it was asked. */
  | ({ readonly state: 'thawed'; readonly heldThroughout: boolean } & WriterStatement)
  | { readonly state: 'unknown'; readonly detail: string }
