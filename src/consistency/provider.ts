/**
 * The provider SPI: takes the snapshot set, all disks of one machine at one instant.
 *
 * Written for the coordinator. A set is either held by us (`commit`, around which the coordinator
 * freezes) or by the platform (`commitQuiesced`, which freezes inside one call).
 */

import type { BlockSource } from '../disk/mod.ts'
import type { FullReason, SetTracking, TrackingRequest } from './change-tracking.ts'
import type { DiskLeftOut } from './coverage.ts'
import type {
  ApplicationData, FilesAsZeros, FileSystemList, PowerState, QuiesceDocument,
} from './evidence.ts'
import type { UnheldApplication } from './found-data.ts'
import type { FileSystemFreezer, FreezerMissing } from './freezer.ts'
import type { ToldApplication } from './signed/statement.ts'
import type { VssSessionFacts, VssWriterFacts } from './vss-facts.ts'

/** A disk that will be in the set. */
export interface SetDisk {
  /** The disk's key within its machine: stable over runs, `[a-z0-9_-][a-z0-9._-]{0,63}`. */
  readonly id: string
  readonly sizeBytes: number
}

export interface PrepareRequest {
  /** The restore point's UUID: names what the provider creates, so that orphans can be told. */
  readonly pointId: string
  /** Disk ids the operator excluded, reported as left out with the reason `excluded`. */
  readonly exclude: readonly string[]
  /** Left out: changes are neither asked for nor recorded for this run. */
  readonly tracking?: TrackingRequest
  /** No point will be made: where nothing is tracked yet, it is not begun either. */
  readonly isAudit?: true
}

export interface Provider {
  readonly name: string
  /**
   * All that is slow or fallible before the hold: discovers disks, checks scratch space and
   * permissions, opens connections, arms the guardian. When it throws or is aborted nothing is
   * left behind in the machine. Faults: `machine-*`, `platform-*`, `nothing-to-back-up`,
   * `no-space`, `unsupported`. An agent that does not answer is no fault: `freezer` says why.
   */
  prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet>
  /**
   * What a `prepare` would find now, without the disk ids of `exclude`. Changes nothing and holds
   * nothing, so it is no promise. Faults: `machine-*`, `platform-*`, `nothing-to-back-up`.
   */
  survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey>
  /**
   * Ends the holds alone that a killed run left. A backup asks for it before it opens its
   * repository, which may hang, be gone, or want a password. A hold that is not shown to be ended
   * is no fault: `prepare` tries again, and says what became of it. Faults: as `prepare`.
   */
  endLeftHolds?(signal: AbortSignal): Promise<void>
  /**
   * Releases what a killed run left, as each `prepare` does first: holds, filters, exports, scratch
   * files. Returns what was found and released, one sentence each. Faults: as `prepare`; one that
   * says that something could not be released.
   */
  recover?(signal: AbortSignal): Promise<readonly string[]>
}

export interface ProviderSurvey {
  readonly power: PowerState
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly freezing: Freezing
  /** What else the platform shows of the machine that bears on its backups; for `doctor`. */
  readonly remarks?: readonly SurveyRemark[]
}

/** Printable: what of the machine, how it stands, and what the operator could do about it. */
export interface SurveyRemark {
  readonly name: string
  readonly says: string
  readonly advice?: string
}

/** Who would hold the file systems, and which; or why no freeze can be tried. */
export type Freezing =
  | {
      readonly by: 'agent'
      /** What the agent says it is, verbatim: foreign text. */
      readonly agent: string
      readonly fileSystems: FileSystemList
    }
  | {
      readonly by: 'platform'
      readonly level: QuiesceLevel
      /** What it would state if every step went well, where it can be asked beforehand. */
      readonly expected?: PlatformQuiesce
    }
  | FreezerMissing

/** How far a platform quiesces. */
export type QuiesceLevel = 'application' | 'filesystem' | 'none'

/**
 * What a platform is to do about quiescing: `if-possible` takes the set without where the guest
 * cannot be quiesced, and its documents say why; `or-fail` is a `freeze-failed` then, with no set;
 * with `never` it does not try.
 */
export type QuiesceWish = 'if-possible' | 'or-fail' | 'never'

export type PreparedSet = RequestorHeldSet | PlatformHeldSet

interface PreparedSetBase extends AsyncDisposable {
  readonly disks: readonly SetDisk[]
  /** Every disk of the machine that will not be in the set, each with its reason. */
  readonly leftOut: readonly DiskLeftOut[]
  /** The machine's power at prepare. `paused` and `off` need no freeze (docs/grades.md). */
  readonly power: PowerState
  /** There if the request asked for tracking and the platform can do it. */
  readonly tracking?: SetTracking
  /**
   * Reads the machine's disks again after the hold: what was added or removed meanwhile
   * (`hot-added`, `hot-removed`). Empty if nothing changed.
   */
  recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]>
  /**
   * The machine's power now, asked behind the instant; undefined where it cannot be told: then a
   * machine that was off is not shown to have stayed so.
   */
  powerNow(signal: AbortSignal): Promise<PowerState | undefined>
  /**
   * Releases everything that `prepare` and the commit created, in the machine and on this host.
   * Idempotent, keeps its own deadline, ignores the caller's signal, reports instead of throwing.
   */
  [Symbol.asyncDispose](): Promise<void>
}

/** We hold writes around the instant. */
export interface RequestorHeldSet extends PreparedSetBase {
  readonly heldBy: 'requestor'
  /** How to freeze the guest's file systems, or why it cannot be done. */
  readonly freezer: FileSystemFreezer | FreezerMissing
  /**
   * Takes the snapshot set. Called inside the hold: opens nothing, starts nothing, logs to no
   * file. When it throws, no snapshot is left that disposing would not release.
   * Faults: `snapshot-failed`, `machine-lost`.
   */
  commit(signal: AbortSignal): Promise<CommittedSet>
}

/** The platform freezes inside the one call; the interval is unknown to us. */
export interface PlatformHeldSet extends PreparedSetBase {
  readonly heldBy: 'platform'
  /** How far the platform is expected to quiesce, as the survey says it. */
  readonly expected: QuiesceLevel
  commitQuiesced(wish: QuiesceWish, signal: AbortSignal): Promise<QuiescedSet>
  /**
   * What it would state if every step went well, as the survey says it. Holds nothing, and is asked
   * before `commitQuiesced`. Faults: `platform-*`, `timed-out`.
   */
  foretell?(signal: AbortSignal): Promise<PlatformQuiesce>
  /**
   * There is a restore point now: tells the applications that the platform held, which may drop
   * what they kept. Called behind the seal, once. Where it is not called they hear that there is
   * none. Faults: those of the platform; they are told, and change no point.
   */
  complete?(signal: AbortSignal): Promise<readonly ToldApplication[]>
}

export type QuiescedSet = CommittedSet & { readonly quiesce: PlatformQuiesce }

/**
 * What the platform stated about its own quiescing. The claim alone counts for nothing: the
 * documents are kept verbatim, each with what the provider read in it.
 */
export interface PlatformQuiesce {
  readonly claimed: QuiesceLevel
  readonly documents: readonly QuiesceDocument[]
  /** There where we were the requestor of VSS. */
  readonly session?: VssSessionFacts
  /** The applications that took part, as the documents show them; left out: they show none. */
  readonly writers?: readonly StatedWriter[]
  /** Data beside them that nobody holds, found by looking for it; left out: nobody looked. */
  readonly unheld?: readonly UnheldApplication[]
}

/** What a platform says of the applications. */
export type StatedApplications = Pick<PlatformQuiesce, 'writers' | 'unheld'>

/** An application that the platform held: names are unique, documents are those of the quiesce. */
export interface StatedWriter {
  readonly name: string
  /** `incidental`: a part of the guest's system, of which nobody keeps data. */
  readonly kind: 'protected' | 'incidental'
  readonly state: 'stable' | 'failed' | 'unknown'
  readonly metadataDocument: string
  readonly componentsDocument: string
  /** What the documents say of it, in one line. */
  readonly statement: string
  /** What our own session of VSS saw of it. */
  readonly seen?: VssWriterFacts
  /** It is a virtual machine on this host: in which state the host's writer had it. */
  readonly guest?: 'online' | 'saved'
  /** Where its data lies, if the platform says so; left out: not known. */
  readonly data?: ApplicationData
}

/** The snapshot set after the instant. It lives until the PreparedSet is disposed. */
export interface CommittedSet {
  /** How the platform made it one instant, e.g. `qmp-transaction`, `stop-window`. */
  readonly method: string
  /** True if the method guarantees one instant for all disks. */
  readonly oneInstant: boolean
  /** Of disks with a base: why it turned out at the instant not to hold, so that all is read. */
  readonly lostBases?: ReadonlyMap<string, FullReason>
  /**
   * What the platform said of it, for the restore point; names as those of other documents. Asked
   * behind the last read, so that it may say what was read.
   */
  readonly documents?: readonly { readonly name: string; readonly text: string }[]
  /**
   * Files of a disk that read as zeros although they hold something, once it was opened; undefined:
   * none. The documents say which.
   */
  filesAsZeros?(diskId: string): FilesAsZeros | undefined
  /**
   * Opens a captured disk for reading; the source faults with `snapshot-broken` or `scratch-full`
   * once the instant can no longer be read. Dispose each source before the PreparedSet.
   */
  open(diskId: string, signal: AbortSignal): Promise<BlockSource>
  /** Asked after the last read: did every read show the instant? A reason if not. */
  stillIntact(signal: AbortSignal): Promise<{ readonly intact: true } | { readonly broken: string }>
}
