/** What a session saw of each writer: its documents, its components in the set, its states. */

import type { AddedWriter, BackupComponents, WriterMetadata } from './documents.ts'
import type { FailedComponents } from './failed-components.ts'
import { S_OK, VSS_E, type Hresult } from './hresult.ts'
import type { LeftOutComponent, SelectedWriter } from './selection.ts'
import type { FailedComponent, GatheredWriter, WriterStatus } from './transport.ts'

export interface ObservedWriter {
  readonly writerId: string
  readonly instanceId: string
  /** Foreign text. */
  readonly name: string
  /** Undefined where its document could not be read. */
  readonly metadata: WriterMetadata | undefined
  /** Its components in the backup components document. */
  readonly added: AddedWriter['components']
  readonly leftOut: readonly LeftOutComponent[]
  /** Volumes that the added components lie on; undefined where that is not known. */
  readonly volumes: readonly string[] | undefined
  /** Behind the instant; null for one that was not listed any more. */
  readonly afterSnapshot: WriterSeen | null
  /** Components that say that they failed; undefined where none was, or could be asked. */
  readonly failedComponents?: readonly FailedComponent[] | undefined
}

export interface WriterSeen {
  readonly state: number
  readonly failure: Hresult
}

export interface Observed {
  readonly gathered: readonly GatheredWriter[]
  readonly statuses: readonly WriterStatus[]
  readonly metadata: readonly WriterMetadata[]
  /** Of writers whose documents came behind the instant: what would have been selected. */
  readonly selected: readonly SelectedWriter[]
  readonly components: BackupComponents
  readonly failed: FailedComponents
}

export function observeWriters(observed: Observed): readonly ObservedWriter[] {
  return observed.gathered.map(({ writerId, instanceId, name }) => {
    const metadata = observed.metadata.find((it) => it.instanceId === instanceId)
    const status = observed.statuses.find((it) => it.instanceId === instanceId)
    const selected = observed.selected.find((it) => it.metadata.instanceId === instanceId)
    const added = observed.components.writers
      .filter((it) => it.instanceId === instanceId).flatMap(({ components }) => components)
    return {
      writerId, instanceId, name, metadata, added,
      leftOut: selected?.leftOut ?? [],
      volumes: selected?.volumes,
      afterSnapshot: status === undefined ? null
        : { state: status.state, failure: status.failure },
      failedComponents: observed.failed.get(instanceId),
    }
  })
}

/** VSS_WRITER_STATE of one in order (vss.h). */
const STABLE = 1
const IN_ORDER = { prepared: [STABLE], snapshot: [5, STABLE], completed: [STABLE] } as const
const FIRST_FAILED = 6

/** Those with a component in the backup: writer ids by instance. */
export type AddedWriters = ReadonlyMap<string, string>

/**
 * Of the writers with a component in the backup, those not in order behind a step: in another
 * state, with a failure, or gone. `failed`: behind a call that failed itself, when any state may
 * be, so that only failures count.
 */
export function troubleOf(
  statuses: readonly WriterStatus[], added: AddedWriters,
  behind: keyof typeof IN_ORDER | 'failed',
): readonly Trouble[] {
  const listed = statuses.filter(({ instanceId }) => added.has(instanceId))
  const states: readonly number[] = behind === 'failed' ? [] : IN_ORDER[behind]
  return [
    ...listed.filter(({ state, failure }) => behind === 'failed'
      ? failure !== S_OK || state >= FIRST_FAILED
      : failure !== S_OK || !states.includes(state))
      .map(({ writerId, instanceId, name, failure }) => ({
        writerId, instanceId, name,
        failure: failure === S_OK ? VSS_E.WRITERERROR_NONRETRYABLE : failure })),
    ...[...added].filter(([instanceId]) => !listed.some((it) => it.instanceId === instanceId))
      .map(([instanceId, writerId]) => ({
        writerId, instanceId, name: writerId, failure: VSS_E.WRITER_NOT_RESPONDING })),
  ]
}

export interface Trouble {
  readonly writerId: string
  readonly instanceId: string
  readonly name: string
  readonly failure: Hresult
}
