/**
 * Evidence: what was observed about one backup, by whom and when. Plain JSON values only.
 *
 * Nothing here judges: `gradeOf` (grade.ts) does, from this record alone. Text that an agent, an
 * application or a platform stated is kept verbatim, within bounds, and is foreign to whoever
 * prints it. Times ending in `Ms` are our own monotonic clock, in milliseconds from an arbitrary
 * zero that all of one record share; only `…At` fields are wall time (ISO 8601, UTC).
 */

import type { DiskBase } from './change-tracking.ts'
import type { DiskLeftOut } from './coverage.ts'
import type { FreezeLimits, FreezerMissing, GuestFileSystem } from './freezer.ts'
import type { VssSessionFacts, VssWriterFacts } from './vss-facts.ts'

export interface Evidence {
  readonly version: 1
  /** The restore point's UUID, lowercase. */
  readonly pointId: string
  readonly machine: {
    readonly name: string
    /** Which kind of platform runs it: `qemu`, `libvirt` … */
    readonly platform: string
  }
  /** Who observed: us, with our version. */
  readonly observedBy: { readonly program: string; readonly version: string }
  readonly startedAt: string
  readonly power: PowerEvidence
  readonly hold: HoldEvidence
  readonly instant: InstantEvidence
  readonly fileSystems: FileSystemEvidence
  readonly coverage: CoverageEvidence
  readonly applications: ApplicationsEvidence
  readonly reading: ReadingEvidence
  readonly policy: PolicyEvidence
}

export type PowerState = 'running' | 'paused' | 'saved' | 'off'

/** `after` is asked once more behind the instant; `unknown` where the provider cannot tell. */
export interface PowerEvidence {
  readonly before: PowerState
  readonly after: PowerState | 'unknown'
}

// ---- The hold -----------------------------------------------------------------------------------

export type HoldEvidence = NoHold | RequestorHold | PlatformHold

/** Why nothing was held, although or because of what was found. */
export type NoHoldReason =
  | FreezerMissing['missing']
  | 'powered-off' | 'paused' | 'saved' // no running guest, no freeze (docs/grades.md)
  | 'declined' // the operator asked for none

export interface NoHold {
  readonly by: 'nobody'
  readonly reason: NoHoldReason
  readonly detail: string
}

/** We froze, or tried to. The commit's interval stands in `instant`. */
export interface RequestorHold {
  readonly by: 'requestor'
  /** What the agent calls itself, verbatim. */
  readonly agent: string
  readonly limits: FreezeLimits
  readonly freeze: FreezeEvidence
  readonly thaw: ThawEvidence
}

export type FreezeEvidence =
  | {
      readonly state: 'acknowledged'
      readonly issuedMs: number
      readonly acknowledgedMs: number
      /** How many file systems the agent says it froze. */
      readonly count: number
    }
  | {
      readonly state: 'failed'
      readonly issuedMs: number
      readonly failedMs: number
      readonly fault: StepFault
    }

/** A fault of one step: our code, and its message. */
export interface StepFault {
  readonly code: string
  readonly message: string
}

/** What became of the thaw that followed the attempt. */
export type ThawEvidence =
  | {
      readonly state: 'thawed'
      readonly issuedMs: number
      readonly acknowledgedMs: number
      /** How many file systems the agent says it thawed; null where it stated none. */
      readonly count: number | null
      /** The guardian thawed by itself before we asked. */
      readonly early: boolean
    }
  /** The agent had nothing frozen when we asked. */
  | { readonly state: 'not-frozen'; readonly issuedMs: number }
  | { readonly state: 'unknown'; readonly issuedMs: number; readonly detail: string }

/** The platform froze inside its own call; what it says is all there is. */
export interface PlatformHold {
  readonly by: 'platform'
  readonly claimed: 'application' | 'filesystem' | 'none'
  readonly documents: readonly QuiesceDocument[]
  /** There where we were the requestor of VSS: then each writer must have been seen in it. */
  readonly session?: VssSessionFacts
}

export interface QuiesceDocument {
  /** Unique in its set. */
  readonly name: string
  /** Verbatim. */
  readonly text: string
  /** What reading it showed, whatever the platform claims. */
  readonly shows: 'application' | 'filesystem' | 'nothing'
}

// ---- The instant --------------------------------------------------------------------------------

export interface InstantEvidence {
  /** The provider's name for how it took the set: `qmp-transaction`, `stop-window` … */
  readonly method: string
  /** The provider's word that the method makes one instant of all disks. */
  readonly oneInstant: boolean
  /** When the commit was asked for and when it returned. */
  readonly startMs: number
  readonly endMs: number
  /** Wall time when the commit returned. */
  readonly takenAt: string
  readonly disks: readonly { readonly id: string; readonly sizeBytes: number }[]
}

// ---- File systems -------------------------------------------------------------------------------

export interface FileSystemEvidence {
  /** The agent's list before the freeze and after the thaw. */
  readonly before: FileSystemList
  readonly after: FileSystemList
  /** Whether each captured disk was looked at; a disk that is missing here was not. */
  readonly probes: readonly ProbeEvidence[]
  /** What the probe found on the captured disks. */
  readonly volumes: readonly VolumeEvidence[]
}

export type FileSystemList =
  | { readonly state: 'listed'; readonly fileSystems: readonly GuestFileSystem[] }
  | { readonly state: 'unavailable'; readonly reason: string }

export type ProbeEvidence =
  | { readonly diskId: string; readonly state: 'probed' }
  | { readonly diskId: string; readonly state: 'failed'; readonly reason: string }

/** A file system, swap area or container found on captured disks. */
export interface VolumeEvidence {
  /** The captured disks it lies on: more than one through LVM. */
  readonly diskIds: readonly string[]
  /** For the operator: `partition 2`, `whole disk`, `LVM vg0/root`. */
  readonly where: string
  /** `disk`: all of a disk; `mapped`: a volume of LVM or the like. */
  readonly layer: 'disk' | 'partition' | 'mapped'
  /** The partition's number as Linux counts, 1 and up; null for the other layers. */
  readonly partition: number | null
  /** `ext`, `xfs`, `btrfs`, `vfat`, `ntfs`, `swap`, `luks` … lowercase. */
  readonly type: string
  /** `esp`: a file system in a partition of the EFI system type; `opaque`: contents hidden. */
  readonly role: 'file-system' | 'esp' | 'swap' | 'opaque'
  readonly sign: VolumeSign
  /** For swap: a hibernation image. `unknown` where the probe cannot tell. */
  readonly hibernation: 'none' | 'present' | 'unknown'
  /** What the sign was read from, for the operator: `needs_recovery is set`. */
  readonly detail: string
}

/**
 * What the bytes on the disk say about the instant.
 *
 * - `frozen`: only a freeze (or complete rest) leaves this, although the volume is mounted.
 * - `clean`: nothing pending: frozen, or unmounted cleanly, which look alike.
 * - `in-use`: changes were pending, so it was mounted and not frozen, or not unmounted cleanly.
 * - `silent`: the bytes cannot tell.
 */
export type VolumeSign = 'frozen' | 'clean' | 'in-use' | 'silent'

// ---- Coverage -----------------------------------------------------------------------------------

export interface CoverageEvidence {
  readonly leftOut: readonly DiskLeftOut[]
  /** The disk ids that the operator excluded. */
  readonly excludes: readonly string[]
  /** True once the machine's disks were read again behind the instant. */
  readonly rechecked: boolean
}

// ---- Applications -------------------------------------------------------------------------------

export interface ApplicationsEvidence {
  /** The operator's `applications: none`. */
  readonly declaredNone: boolean
  readonly discovery: DiscoveryEvidence
}

export type DiscoveryEvidence =
  | { readonly state: 'impossible'; readonly reason: string }
  /** Found by `by`; an empty list means that it looked and found none. */
  | {
      readonly state: 'done'
      readonly by: string
      readonly applications: readonly ApplicationEvidence[]
    }

export interface ApplicationEvidence {
  /** Unique in the list: `postgres 15/main`. */
  readonly name: string
  /** `protected`: a service, or named by the operator; `incidental`: data files without one. */
  readonly kind: 'protected' | 'incidental'
  /** Whether it recovers by itself from a crash. */
  readonly recovery: 'self' | 'none' | 'unknown'
  readonly data: ApplicationData
  readonly writer: WriterEvidence
}

/** Where all its data, log and tablespaces lie. */
export type ApplicationData =
  | {
      readonly state: 'located'
      readonly diskIds: readonly string[]
      /** The places themselves, for checks; absent where they are too many or too long to keep. */
      readonly places?: readonly KeptPlace[]
    }
  /** Some of it is outside the machine's disks: a network mount, a service elsewhere. */
  | { readonly state: 'outside'; readonly detail: string }
  | { readonly state: 'unknown'; readonly detail: string }

/** A folder or file without symbolic links, and where the volume it lies on was mounted. */
export interface KeptPlace {
  readonly path: string
  readonly mountpoint: string
  /** What of the volume was mounted there; absent for all of it. */
  readonly root?: string
}

/** What the writer did for one of the contracts of docs/grades.md, or why there was none. */
export type WriterEvidence =
  | { readonly contract: 'none'; readonly reason: NoWriterReason; readonly detail: string }
  | ({ readonly contract: 'held' } & WriterHold)
  | ({ readonly contract: 'recoverable'; readonly durability: Durability } & WriterHold)
  | {
      readonly contract: 'platform-stated'
      /** The writer's state after the set was made, as the platform gave it. */
      readonly state: 'stable' | 'failed' | 'unknown'
      /** Names of documents in the platform hold; null where the platform gave none. */
      readonly metadataDocument: string | null
      readonly componentsDocument: string | null
      readonly statement: string
      /** What our own session saw of it; only with a `session` of the hold. */
      readonly seen?: VssWriterFacts
      /** A virtual machine on the host that was backed up, and how its host's writer had it. */
      readonly guest?: 'online' | 'saved'
    }

export type NoWriterReason =
  | 'no-writer' // nobody knows how to hold this application
  | 'no-channel' // no way into the guest
  | 'hook-ignored' // the guest's agent would not run the hook that holds it
  | 'hook-not-run' // the freeze was not seen by the agent that was to hold it
  | 'hook-failed' // the hook let it go because of another application
  | 'not-reachable' // the application did not let us in
  | 'would-truncate-logs' // the requestor in the guest would use the type FULL
  | 'declined' // the operator asked for none
  | 'not-tried' // the file systems could not be held, so it would have been in vain

export interface WriterHold {
  readonly limitMs: number
  readonly freeze: WriterFreezeEvidence
  readonly thaw: WriterThawEvidence
}

export type WriterFreezeEvidence =
  | {
      readonly state: 'acknowledged'
      readonly issuedMs: number
      readonly acknowledgedMs: number
      /** The application's own answer, verbatim. */
      readonly statement: string
      /** Where its log stood; null where it states none. */
      readonly positions: LogPositions | null
    }
  | {
      readonly state: 'failed'
      readonly issuedMs: number
      readonly failedMs: number
      readonly fault: StepFault
    }

/** In the application's own notation, e.g. PostgreSQL LSNs. */
export interface LogPositions {
  readonly beforeCheckpoint: string
  readonly atFreeze: string
}

export type WriterThawEvidence =
  | {
      readonly state: 'thawed'
      readonly issuedMs: number
      readonly acknowledgedMs: number
      /** The application confirmed that it had held until we asked. */
      readonly heldThroughout: boolean
      readonly statement: string
    }
  | { readonly state: 'unknown'; readonly issuedMs: number; readonly detail: string }

/** The settings that make committed data survive a crash, read before the hold. */
export interface Durability {
  readonly state: 'safe' | 'unsafe' | 'unknown'
  /** The settings as read: `fsync=on, full_page_writes=on`. */
  readonly settings: string
}

// ---- Reading and policy -------------------------------------------------------------------------

export type ReadingEvidence =
  | { readonly state: 'unfinished' }
  | {
      readonly state: 'finished'
      /** What `stillIntact` answered after the last read. */
      readonly instant: { readonly intact: true } | { readonly broken: string }
      readonly disks: readonly DiskReading[]
    }

export interface DiskReading {
  readonly diskId: string
  readonly bytesRead: number
  /** The point whose chunks were taken over where nothing had changed since; or why none was. */
  readonly base: DiskBase
  /** Files whose contents were left out, and are zeros; absent: none. */
  readonly filesAsZeros?: FilesAsZeros
}

export interface FilesAsZeros {
  readonly files: number
  readonly bytes: number
}

export interface PolicyEvidence {
  readonly require: 'application' | 'filesystem' | 'crash' | 'torn'
  /** Where `require` came from. */
  readonly origin: 'operator' | 'best-so-far' | 'predicted'
  readonly onWeaker: 'keep' | 'fail'
}

/**
 * From the acknowledged freeze to the issued thaw; null where there was no such interval or its
 * end is not known. A hold the guardian ended early has no length either.
 */
export function heldMs(hold: HoldEvidence): number | null {
  if (hold.by !== 'requestor' || hold.freeze.state !== 'acknowledged') return null
  if (hold.thaw.state === 'thawed' && hold.thaw.early) return null
  if (hold.thaw.state === 'not-frozen') return null
  return hold.thaw.issuedMs - hold.freeze.acknowledgedMs
}

/** From the issued freeze to the acknowledged thaw: what the guest felt, hooks included. */
export function stalledMs(hold: HoldEvidence): number | null {
  if (hold.by !== 'requestor' || hold.thaw.state !== 'thawed') return null
  return hold.thaw.acknowledgedMs - hold.freeze.issuedMs
}
