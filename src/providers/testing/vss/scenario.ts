/**
 * A host of tests: its volumes, its writers, and what goes wrong. Plain JSON, so that a transport's
 * stand-in in another language can be told the same (the contract suite hands it over).
 *
 * The stand-in keeps a journal, one line an event, in the order in which things happened:
 * - `Create`, `SetContext 0x00000000`, `SetBackupState components=1 bootable=0 type=5 partial=0`,
 *   `AddComponent <writer id> <type 1|2> <logical path or ->|<name>`, `StartSnapshotSet`,
 *   `AddToSnapshotSet <volume>`, `SetBackupSucceeded <writer id> <logical path or ->|<name> 1`,
 *   `AbortBackup`, `Release`: calls that took effect;
 * - `<event> <writer id>`, with the names of VssEvent: what reached a writer.
 * Without a component of its own a writer gets nothing after PrepareForBackup but BackupShutdown.
 */

import type { FailedComponent } from '../../vss/session/transport.ts'

/** Events to writers, in their order. */
export const VSS_EVENTS = [
  'Identify', 'PrepareForBackup', 'PrepareForSnapshot', 'Freeze', 'Thaw', 'PostSnapshot',
  'BackupComplete', 'BackupShutdown',
] as const
export type VssEvent = (typeof VSS_EVENTS)[number] | 'Abort'

export interface VssScenario {
  /** `\\?\Volume{…}\`; others are OBJECT_NOT_FOUND. */
  readonly volumes: readonly string[]
  readonly writers: readonly ScriptedWriter[]
  /** Steps that end with an HRESULT of their own, whatever the writers do. */
  readonly failures?: readonly StepFailure[]
  /** Methods that never come back; only the signal ends them. */
  readonly hangs?: readonly string[]
}

export interface StepFailure {
  /** `PrepareForBackup`, `DoSnapshotSet`, `BackupComplete` …: the method's name. */
  readonly step: string
  readonly hresult: number
  /** How many times it fails, from the first; left out: always. */
  readonly times?: number
}

export interface ScriptedWriter {
  readonly writerId: string
  readonly instanceId: string
  readonly name: string
  /** The writer metadata document. */
  readonly document: string
  /** Where it fails, and with what: its state is then FAILED_AT_…, kept until the end. */
  readonly fails?: {
    readonly at: (typeof VSS_EVENTS)[number]
    readonly hresult: number
    /** In how many conversations, from the first; left out: in all. */
    readonly times?: number
    /** What its components say of it from then on. */
    readonly components?: readonly FailedComponent[]
  }
  /** How an earlier session left it, seen until PrepareForBackup; of the simulator alone. */
  readonly left?: { readonly state: number; readonly failure: number }
  /**
   * From this event on it says nothing: its state stays what it was before, the failure is
   * WRITER_NOT_RESPONDING. Silent at Identify: it is absent.
   */
  readonly silentFrom?: (typeof VSS_EVENTS)[number]
}
