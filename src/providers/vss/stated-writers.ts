/** What a session shows, as the evidence of a platform. Pure; the grade itself is `gradeOf`'s. */

import { createHash } from 'node:crypto'
import { printable } from '../../base/text.ts'
import type {
  ApplicationData, PlatformQuiesce, QuiesceDocument, StatedWriter,
} from '../../consistency/mod.ts'
import { guestOf, HYPERV_WRITER, SYSTEM_WRITERS } from './known-writers.ts'
import type { TranscriptEntry } from './session/attempt.ts'
import type { WriterComponent } from './session/documents.ts'
import { failedInWords } from './session/failed-components.ts'
import { formatHresult, WRITER_STATES } from './session/hresult.ts'
import type { ObservedWriter } from './session/observed-writers.ts'
import type { LeftOutComponent } from './session/selection.ts'
import { ATTRIBUTE, type SavedDocuments, type SnapshotProperties } from './session/transport.ts'

/** Of a `VssSession`, what bears on the evidence. */
export interface SeenSession {
  readonly transport: string
  readonly statusOf: 'this-session' | 'unsure'
  readonly request: {
    readonly setup: { readonly context: number; readonly backupType: 'copy' | 'full' } }
  readonly snapshots: readonly SnapshotProperties[]
  readonly writers: readonly ObservedWriter[]
  readonly documents: SavedDocuments
  readonly transcript: readonly TranscriptEntry[]
}

export const COMPONENTS_NAME = 'vss-components.xml'
const SESSION_NAME = 'vss-session.json'

/** Evidence holds a megabyte of documents; a longer one stands there by its digest. */
const MAX_VERBATIM = 24 * 1024

/** `diskOf`: the disk of the set that a volume is; undefined for one that is not in it. */
export function stateSession(
  session: SeenSession, diskOf: (volume: string) => string | undefined): PlatformQuiesce {
  const attributes = session.snapshots.reduce((all, it) => all | it.attributes,
    session.request.setup.context) >>> 0
  const noWriters = (attributes & ATTRIBUTE.NO_WRITERS) !== 0
  const taking = session.writers.filter(({ metadata, added }) =>
    added.length > 0 || (metadata?.components.length ?? 1) > 0)
  const writers = taking.flatMap((writer) => statedWriters(writer, session, diskOf))
  return {
    claimed: noWriters ? 'filesystem' : 'application',
    session: { transport: session.transport, statusOf: session.statusOf, attributes },
    documents: [
      { name: SESSION_NAME, text: transcriptOf(session), shows: 'filesystem' },
      {
        name: COMPONENTS_NAME, text: session.documents.backupComponents,
        shows: taking.some(({ added }) => added.length > 0) ? 'application' : 'filesystem' },
      ...taking.flatMap((writer) => evidenceDocument(writer, session.documents)),
    ],
    writers: withUniqueNames(writers),
  }
}

/** All documents whole, for the restore point. */
export function pointDocuments(
  session: SeenSession): readonly { readonly name: string; readonly text: string }[] {
  const { backupComponents, writerMetadata } = session.documents
  return [
    { name: SESSION_NAME, text: transcriptOf(session) },
    { name: COMPONENTS_NAME, text: backupComponents },
    ...writerMetadata.map(({ instanceId, document }) =>
      ({ name: documentName(instanceId), text: document })),
  ]
}

function documentName(instanceId: string): string {
  return `vss-writer-${instanceId}.xml`
}

function evidenceDocument(
  { instanceId, added }: ObservedWriter, { writerMetadata }: SavedDocuments,
): readonly QuiesceDocument[] {
  const found = writerMetadata.find((it) => it.instanceId === instanceId)
  if (found === undefined) return []
  const name = documentName(instanceId)
  const { document } = found
  const text = document.length <= MAX_VERBATIM ? document
    : JSON.stringify({ file: `/platform/${name}`, bytes: Buffer.byteLength(document),
      sha256: createHash('sha256').update(document).digest('hex') })
  return [{ name, text, shows: added.length > 0 ? 'application' : 'nothing' }]
}

/** A writer is one application; that of Hyper-V is as many as it has machines. */
function statedWriters(
  writer: ObservedWriter, session: SeenSession, diskOf: (volume: string) => string | undefined,
): readonly StatedWriter[] {
  const { added, leftOut, afterSnapshot, volumes } = writer
  const name = printable(writer.name, 200)
  const whole: StatedWriter = {
    name, kind: SYSTEM_WRITERS.has(writer.name) ? 'incidental' : 'protected',
    state: stateOf(writer),
    metadataDocument: documentName(writer.instanceId), componentsDocument: COMPONENTS_NAME,
    statement: statementOf(writer, session).slice(0, MAX_STATEMENT),
    seen: {
      added: Math.min(added.length, MAX_COUNT), leftOut: Math.min(leftOut.length, MAX_COUNT),
      afterSnapshot },
    data: dataOf(volumes, leftOut, diskOf),
  }
  if (writer.writerId !== HYPERV_WRITER || writer.metadata === undefined) return [whole]
  return writer.metadata.components.filter(({ caption }) => caption.includes('\\'))
    .map((component) => machineOf(component, writer, whole))
}

/** As many as evidence counts, and characters of a text in it. */
const MAX_COUNT = 100_000
const MAX_STATEMENT = 4000

function machineOf(
  component: WriterComponent, { added, leftOut, failedComponents }: ObservedWriter,
  whole: StatedWriter,
): StatedWriter {
  const { guest, vm } = guestOf(component.name, component.caption)
  const isIt = (it: { readonly name: string }): boolean => it.name === component.name
  const lacks = leftOut.filter(({ component: of }) => isIt(of))
  return {
    ...whole, name: printable(`Hyper-V machine ${vm}`, 200), kind: 'protected', guest,
    statement: `this machine: ${printable(component.caption, 200)}${
      failedInWords(failedComponents?.filter((it) => isIt(it.component)))}; ${
      whole.statement}`.slice(0, MAX_STATEMENT),
    seen: {
      added: added.filter(isIt).length, leftOut: lacks.length,
      afterSnapshot: whole.seen?.afterSnapshot ?? null },
  }
}

function stateOf({ afterSnapshot }: ObservedWriter): StatedWriter['state'] {
  if (afterSnapshot === null) return 'unknown'
  const { state, failure } = afterSnapshot
  if (failure !== 0 || state >= WRITER_STATES.indexOf('FAILED_AT_IDENTIFY')) return 'failed'
  return state === 5 || state === 1 ? 'stable' : 'unknown'
}

function statementOf(
  { writerId, added, leftOut, afterSnapshot, failedComponents }: ObservedWriter,
  { transport, request: { setup } }: SeenSession,
): string {
  const seen = afterSnapshot === null ? 'not listed behind the snapshot'
    : `state ${afterSnapshot.state} ${WRITER_STATES[afterSnapshot.state] ?? ''}, failure ${
      formatHresult(afterSnapshot.failure)}`
  const lacking = leftOut.length === 0 ? '' : `; left out: ${leftOut.slice(0, 5)
    .map(({ component, reason }) => `${printable(component.name, 60)} (${reason})`).join(', ')}`
  return `writer ${writerId}, ${added.length} components in the set, backup type ${
    setup.backupType}, ${seen}, asked through ${transport}${lacking}${
    failedInWords(failedComponents)}`
}

/** Where its data lies. A part of it that is not in the set is outside, whatever else is in it. */
function dataOf(
  volumes: readonly string[] | undefined, leftOut: readonly LeftOutComponent[],
  diskOf: (volume: string) => string | undefined,
): ApplicationData {
  if (volumes === undefined) return { state: 'unknown', detail: 'its document cannot be read' }
  const outside = leftOut.find(({ reason }) =>
    reason === 'elsewhere' || reason === 'volume-not-in-set')
  if (outside !== undefined) {
    return { state: 'outside', detail: printable(
      `${outside.component.name}: ${outside.detail}`, 1000) }
  }
  const unknown = leftOut.find(({ reason }) => reason === 'path-unknown')
  if (unknown !== undefined) return { state: 'unknown', detail: printable(unknown.detail, 1000) }
  const disks = [...volumes, ...leftOut.flatMap((it) => it.volumes)].map(diskOf)
  return disks.includes(undefined)
    ? { state: 'outside', detail: 'a volume of it is not in the set' }
    : { state: 'located', diskIds: [...new Set(disks.flatMap((id) => id ?? []))] }
}

/** The session as plain facts: what was called and how it ended, snapshots, states as numbers. */
function transcriptOf(
  { transport, statusOf, request, snapshots, writers, transcript }: SeenSession): string {
  return JSON.stringify({
    transport, statusOf, context: request.setup.context, backupType: request.setup.backupType,
    componentMode: true, snapshots,
    writers: writers.map(({ writerId, instanceId, name, added, leftOut, afterSnapshot }) =>
      ({ writerId, instanceId, name: printable(name, 200), added: added.length,
        leftOut: leftOut.length, afterSnapshot })),
    steps: transcript.slice(-MAX_STEPS).map(({ atMs, step, ended }) =>
      ({ atMs: Math.round(atMs), step, ended })),
  })
}

const MAX_STEPS = 500

function withUniqueNames(writers: readonly StatedWriter[]): readonly StatedWriter[] {
  const seen = new Map<string, number>()
  return writers.map((writer) => {
    const before = seen.get(writer.name) ?? 0
    seen.set(writer.name, before + 1)
    return before === 0 ? writer : { ...writer, name: `${writer.name} ${before + 1}` }
  })
}
