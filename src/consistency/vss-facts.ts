/**
 * What a session of VSS showed, as numbers of VSS, and what of it keeps an application from its
 * grade. The rule (docs/vss-explained.md): a writer context, the writer there at Identify, all of
 * its components in the set, and its state behind the instant and behind BackupComplete in order,
 * read in the session itself.
 */

import type { ReasonCode } from './reasons.ts'

/** Of the session as a whole. */
export interface VssSessionFacts {
  /** How the calls reached VSS: `koffi`, `diskshadow` … */
  readonly transport: string
  /**
   * Whose states were read. `unsure`: by a tool that may have asked in a session of its own, whose
   * states may be of anybody's backup.
   */
  readonly statusOf: 'this-session' | 'unsure'
  /** VSS_VOLUME_SNAPSHOT_ATTRIBUTES: those asked for, and those that a snapshot states. */
  readonly attributes: number
}

/** Of one writer. */
export interface VssWriterFacts {
  /** Its components in the backup components document. */
  readonly added: number
  /** Components that should have been added as well, and were not. */
  readonly leftOut: number
  /** Behind DoSnapshotSet; null if it was not listed any more, or could not be asked. */
  readonly afterSnapshot: VssWriterState | null
  /** Behind BackupComplete; absent before that, as in what is sealed. */
  readonly afterComplete?: VssWriterState | null
}

/** VSS_WRITER_STATE and its HRESULT, as they came. */
export interface VssWriterState {
  readonly state: number
  readonly failure: number
}

/** VSS_VOLSNAP_ATTR_NO_WRITERS. */
const NO_WRITERS = 0x10

/** WAITING_FOR_BACKUP_COMPLETE, or STABLE for one that wants no such event. */
const AFTER_SNAPSHOT: readonly number[] = [5, 1]
const AFTER_COMPLETE: readonly number[] = [1]

/** True if the snapshot itself says, or was asked, to be without writers. */
export function isWithoutWriters({ attributes }: VssSessionFacts): boolean {
  return (attributes & NO_WRITERS) !== 0
}

/** Why a session does not show that a writer held still; undefined if it does. */
export function brokenSession(
  session: VssSessionFacts, seen: VssWriterFacts | undefined): ReasonCode | undefined {
  if (isWithoutWriters(session)) return 'writers-not-involved'
  if (seen === undefined || !(seen.added > 0)) return 'writer-components-missing'
  if (seen.leftOut !== 0) return 'writer-components-left-out'
  if (!isInOrder(seen.afterSnapshot, AFTER_SNAPSHOT)) return 'platform-writer-failed'
  if (seen.afterComplete !== undefined && !isInOrder(seen.afterComplete, AFTER_COMPLETE)) {
    return 'platform-writer-failed'
  }
  return session.statusOf === 'this-session' ? undefined : 'writer-status-unsure'
}

function isInOrder(it: VssWriterState | null, states: readonly number[]): boolean {
  return it !== null && states.includes(it.state) && it.failure === 0
}
