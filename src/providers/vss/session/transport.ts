/**
 * The SPI of a transport: how a requestor's calls reach VSS.
 *
 * Written for `VssSession`, which alone knows the order of the calls, what may be retried and what
 * the answers mean. A transport passes a call on, waits, and hands back what VSS said: it never
 * retries, never judges and never leaves a step out. Names and order are those of
 * IVssBackupComponents (vsbackup.h).
 *
 * Every step may reject with
 * - `VssFault` (hresult.ts), where VSS answered with a failing HRESULT: the call's own, or the one
 *   that IVssAsync::QueryStatus had in the end, unless that was S_ASYNC_FINISHED;
 * - another `Fault`: `platform-unreachable` (no VSS here, not elevated, wrong bitness, the child
 *   process died), `platform-protocol` (an answer that cannot be), `timed-out`;
 * - the signal's reason. VSS may have done the step, or be at it still: only `abortBackup` and
 *   disposing may follow, and both work at any time, in the middle of a step too.
 *
 * GUIDs are lower case without braces. Volumes end in a backslash: `C:\` or `\\?\Volume{…}\`.
 */

import type { Hresult } from './hresult.ts'

export interface VssTransport {
  /** Goes into the evidence: `koffi`, `diskshadow`, `simulator`. */
  readonly name: string
  /**
   * Whose state `gatherWriterStatus` reads. Only a status of this session counts in a grade: a
   * tool that may have asked in a session of its own says `unsure`.
   */
  readonly statusOf: 'this-session' | 'unsure'
  /**
   * CreateVssBackupComponents, InitializeForBackup(null), SetContext, SetBackupState with component
   * mode on and partial files off. One conversation is one backup; several may not be open at once.
   */
  open(setup: BackupSetup, signal: AbortSignal): Promise<VssBackup>
}

export interface BackupSetup {
  readonly context: number
  readonly backupType: VssBackupType
  readonly bootableSystemState: boolean
}

/** VSS_SNAPSHOT_CONTEXT: what the session uses, and what says that there were no writers. */
export const CONTEXT = {
  BACKUP: 0x00,
  APP_ROLLBACK: 0x09,
  CLIENT_ACCESSIBLE_WRITERS: 0x0d,
  FILE_SHARE_BACKUP: 0x10,
  NAS_ROLLBACK: 0x19,
  CLIENT_ACCESSIBLE: 0x1d,
} as const

/** VSS_VOLUME_SNAPSHOT_ATTRIBUTES, of which a snapshot's properties state some. */
export const ATTRIBUTE = {
  PERSISTENT: 0x1,
  NO_AUTORECOVERY: 0x2,
  NO_AUTO_RELEASE: 0x8,
  NO_WRITERS: 0x10,
  AUTORECOVER: 0x400000,
} as const

/** VSS_BACKUP_TYPE: FULL 1, COPY 5. */
export type VssBackupType = 'full' | 'copy'
export const BACKUP_TYPE = { full: 1, copy: 5 } as const satisfies Record<VssBackupType, number>

/** VSS_COMPONENT_TYPE: DATABASE 1, FILEGROUP 2. */
export type VssComponentType = 'database' | 'filegroup'
export const COMPONENT_TYPE = {
  database: 1, filegroup: 2 } as const satisfies Record<VssComponentType, number>

/**
 * One backup, from InitializeForBackup to Release. Disposing is Release: idempotent, with its own
 * deadline, reporting instead of throwing. Without a `backupComplete` before it, writers get
 * BackupShutdown alone and truncate nothing. It deletes auto-release snapshots, as does the death
 * of the process that holds the conversation: a transport makes sure that this death follows ours.
 */
export interface VssBackup extends AsyncDisposable {
  /** GatherWriterMetadata, and of each writer GetWriterMetadata: those that answered Identify. */
  gatherWriterMetadata(signal: AbortSignal): Promise<readonly GatheredWriter[]>

  /** AddComponent, before `prepareForBackup`. Not called where documents come late. */
  addComponent(component: ComponentReference, signal: AbortSignal): Promise<void>

  /**
   * There where documents come behind the instant only: the set is not to be made unless this
   * writer is in it with what lies on the volumes. Before `prepareForBackup`.
   */
  requireWriter?(writerId: string, signal: AbortSignal): Promise<void>

  /** StartSnapshotSet; the id of the set. */
  startSnapshotSet(signal: AbortSignal): Promise<string>

  /** IsVolumeSupported with no provider named. */
  isVolumeSupported(volume: string, signal: AbortSignal): Promise<boolean>

  /** AddToSnapshotSet with no provider named; the id of the snapshot to be. */
  addToSnapshotSet(volume: string, signal: AbortSignal): Promise<string>

  /** PrepareForBackup. */
  prepareForBackup(signal: AbortSignal): Promise<void>

  /**
   * GatherWriterStatus, and GetWriterStatus of each. Asked after PrepareForBackup, DoSnapshotSet
   * and BackupComplete, and right behind `gatherWriterMetadata` where nothing is to be backed up.
   * A writer that is lost may be missing.
   */
  gatherWriterStatus(signal: AbortSignal): Promise<readonly WriterStatus[]>

  /**
   * What the added components of a writer have to say of their failure: of GetWriterComponents the
   * IVssComponentEx (Windows Vista) and IVssComponentEx2 (Windows 7), as far as they are there. To
   * be asked behind `gatherWriterStatus`, before Abort, of a writer that is not in order; those
   * that say nothing are left out. Left out altogether where a transport cannot know.
   */
  failedComponents?(instanceId: string, signal: AbortSignal): Promise<readonly FailedComponent[]>

  /**
   * DoSnapshotSet: PrepareForSnapshot, Freeze, the instant, Thaw and PostSnapshot. That it is done
   * says nothing of a single writer yet.
   */
  doSnapshotSet(signal: AbortSignal): Promise<void>

  /** GetSnapshotProperties of a snapshot that `addToSnapshotSet` named. */
  snapshotProperties(snapshotId: string, signal: AbortSignal): Promise<SnapshotProperties>

  /** SetBackupSucceeded of a component that was added; only behind the seal. */
  setBackupSucceeded(
    component: ComponentReference, succeeded: boolean, signal: AbortSignal): Promise<void>

  /** BackupComplete: with `full`, writers may truncate their logs now. */
  backupComplete(signal: AbortSignal): Promise<void>

  /** AbortBackup; right after any failed step, however often, once prepareForBackup was begun. */
  abortBackup(signal: AbortSignal): Promise<void>

  /**
   * SaveAsXML of the backup components document, as it is now, and of all writers' documents.
   * Asked behind the instant, for the restore point, and once more after BackupComplete.
   */
  saveDocuments(signal: AbortSignal): Promise<SavedDocuments>
}

/** A writer that answered Identify. */
export interface GatheredWriter {
  readonly writerId: string
  readonly instanceId: string
  /** Foreign text. */
  readonly name: string
  /**
   * The writer metadata document, verbatim. Undefined where the transport gets it behind the
   * instant only (diskshadow): nothing can be chosen from it, and the tool adds every component
   * that lies on the volumes.
   */
  readonly document: string | undefined
}

/** What tells a component apart; texts exactly as the writer's document has them. */
export interface ComponentReference {
  readonly writerId: string
  readonly instanceId: string
  readonly type: VssComponentType
  /** Null where the document has none, which is not the same as an empty one. */
  readonly logicalPath: string | null
  readonly name: string
}

export interface WriterStatus {
  readonly writerId: string
  readonly instanceId: string
  /** Foreign text. */
  readonly name: string
  /** VSS_WRITER_STATE as it came: see WRITER_STATES. */
  readonly state: number
  readonly failure: Hresult
}

export interface FailedComponent {
  readonly component: Pick<ComponentReference, 'type' | 'logicalPath' | 'name'>
  /** What GetFailure has; S_OK where it has nothing, and messages alone were left. */
  readonly failure: Hresult
  /** A number of the application's own; S_OK for none. */
  readonly applicationFailure: Hresult
  /** Foreign texts, at most MAX_MESSAGE_UNITS each, in the order of the events. */
  readonly messages: readonly string[]
}

export const MAX_MESSAGE_UNITS = 1000

/** VSS_SNAPSHOT_PROP, as far as it is used. */
export interface SnapshotProperties {
  readonly snapshotId: string
  readonly snapshotSetId: string
  /** `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy7`, without a backslash at the end. */
  readonly device: string
  /** `\\?\Volume{…}\` */
  readonly originalVolume: string
  /** See ATTRIBUTE. */
  readonly attributes: number
  /** Wall time in ms since 1970, from the FILETIME of the host. */
  readonly createdMs: number
}

export interface SavedDocuments {
  readonly backupComponents: string
  readonly writerMetadata: readonly { readonly instanceId: string; readonly document: string }[]
}
