/**
 * What writers there are and how they stand, asked in a session of our own that makes no set:
 * InitializeForBackup, GatherWriterMetadata, GatherWriterStatus, Release (as vshadow's `-ws` does).
 * No writer is told to do anything.
 */

import type {
  ListedComponent, ListedWriter, PlatformQuiesce, SurveyRemark,
} from '../../consistency/mod.ts'
import { printable } from '../../base/text.ts'
import { inTurns } from '../../base/turns.ts'
import { SYSTEM_WRITERS } from './known-writers.ts'
import {
  openBackup, readingMetadata, Steps, type SessionPorts, type SessionRequest,
} from './session/attempt.ts'
import type { WriterMetadata } from './session/documents.ts'
import { describeHresult, S_OK, WRITER_STATES } from './session/hresult.ts'
import type { ObservedWriter } from './session/observed-writers.ts'
import { selectingComponents } from './session/selection.ts'
import {
  CONTEXT, type GatheredWriter, type SavedDocuments, type WriterStatus,
} from './session/transport.ts'
import { stateSession } from './stated-writers.ts'

/** Writers of services that are starting take their time to answer. */
const GATHER_MS = 5 * 60_000
const STATUS_MS = 2 * 60_000
const FIRST_FAILED = WRITER_STATES.indexOf('FAILED_AT_IDENTIFY')

/** Of those that answered, in the order of VSS. */
export interface WriterAnswers {
  readonly gathered: readonly GatheredWriter[]
  readonly statuses: readonly WriterStatus[]
  /** Of their documents those that can be read. */
  readonly metadata: readonly WriterMetadata[]
}

/** Faults: those of the transport. */
export async function askWriters(
  ports: SessionPorts, signal: AbortSignal): Promise<WriterAnswers> {
  const steps = new Steps(ports.clock, [], signal)
  const setup = {
    context: CONTEXT.BACKUP, backupType: 'copy', bootableSystemState: false } as const
  await using backup = await openBackup({ setup }, ports, steps, signal)
  const gathered = await steps.take('GatherWriterMetadata', GATHER_MS, (limit) =>
    backup.gatherWriterMetadata(limit))
  const statuses = await steps.take('GatherWriterStatus', STATUS_MS, (limit) =>
    backup.gatherWriterStatus(limit))
  const metadata = await steps.work(readingMetadata(documentsOf(gathered)))
  return { gathered, statuses, metadata }
}

function documentsOf(gathered: readonly GatheredWriter[]): SavedDocuments['writerMetadata'] {
  return gathered.flatMap(({ instanceId, document }) =>
    document === undefined ? [] : { instanceId, document })
}

export function listWriters(
  { gathered, statuses, metadata }: WriterAnswers): readonly ListedWriter[] {
  return gathered.map((writer) => {
    const isOf = (it: { readonly instanceId: string }): boolean =>
      it.instanceId === writer.instanceId
    return listed(writer, statuses.find(isOf), metadata.find(isOf))
  })
}

function listed(
  { writerId, instanceId, name }: GatheredWriter, status: WriterStatus | undefined,
  metadata: WriterMetadata | undefined,
): ListedWriter {
  const state = status?.state ?? null
  const failure = status?.failure ?? S_OK
  return {
    writerId, instanceId, name, isOfWindows: SYSTEM_WRITERS.has(name),
    state, stateName: WRITER_STATES[state ?? 0] ?? 'UNKNOWN',
    failure, failureText: describeHresult(failure),
    isInOrder: state !== null && state > 0 && state < FIRST_FAILED && failure === S_OK,
    components: componentsOf(metadata),
  }
}

function componentsOf(
  metadata: WriterMetadata | undefined): readonly ListedComponent[] | undefined {
  return metadata?.components.map(({ type, logicalPath, name, caption, selectable, files }) => ({
    type, caption, isSelectable: selectable,
    path: logicalPath === null || logicalPath === '' ? name : `${logicalPath}\\${name}`,
    folders: [...new Set(files.map(({ path }) => path))],
  }))
}

/** For `doctor`: a line each, those that need somebody first. */
export function remarksOn(writers: readonly ListedWriter[]): readonly SurveyRemark[] {
  const sorted = [...writers].sort((a, b) => Number(a.isInOrder) - Number(b.isInOrder) ||
    Number(a.isOfWindows) - Number(b.isOfWindows))
  return sorted.map((writer): SurveyRemark => ({
    name: `writer ${printable(writer.name, 100)}`,
    says: [stateWords(writer), lastError(writer), componentWords(writer)].join(', '),
    ...writer.isInOrder ? {} : { advice:
      'look for its events in the Application log, and restart the service it belongs to' },
  }))
}

function stateWords({ state, stateName }: ListedWriter): string {
  if (state === null) return 'no status'
  return stateName.toLowerCase().replaceAll('_', ' ')
}

function lastError({ failure, failureText }: ListedWriter): string {
  return failure === S_OK ? 'no error' : `last error ${failureText}`
}

function componentWords({ components }: ListedWriter): string {
  if (components === undefined) return 'components not known'
  return components.length === 1 ? '1 component' : `${components.length} components`
}

/** What is asked of a set that nobody has made yet. */
export type WishedSet = Pick<SessionRequest, 'setup' | 'volumes' | 'volumeOf'>

export interface Foretold {
  readonly quiesce: PlatformQuiesce
  readonly writers: readonly ObservedWriter[]
}

/** What a backup of these volumes would state if each writer did well; for `doctor`. */
export async function expectedOf(
  { gathered, metadata }: WriterAnswers, wished: WishedSet,
  { transport: { name: transport, statusOf }, clock }: Pick<SessionPorts, 'transport' | 'clock'>,
  diskOf: (volume: string) => string | undefined, signal: AbortSignal,
): Promise<Foretold> {
  const { writers: selected } = await inTurns(selectingComponents({
    ...wished, writers: metadata, promised: new Set(), without: new Set() }), clock, signal)
  const writers = gathered.map(({ writerId, instanceId, name }): ObservedWriter => {
    const found = selected.find((it) => it.metadata.instanceId === instanceId)
    return {
      writerId, instanceId, name, metadata: found?.metadata, volumes: found?.volumes,
      added: (found?.added ?? []).map((it) => ({ ...it, backupSucceeded: null })),
      leftOut: found?.leftOut ?? [],
      afterSnapshot: { state: WRITER_STATES.indexOf('WAITING_FOR_BACKUP_COMPLETE'), failure: S_OK },
    }
  })
  return { writers, quiesce: stateSession({
    transport, statusOf, request: wished, snapshots: [], writers, transcript: [],
    documents: { backupComponents: 'expected', writerMetadata: documentsOf(gathered) },
  }, diskOf) }
}
