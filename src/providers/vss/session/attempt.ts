/**
 * One attempt at a snapshot set, from CreateVssBackupComponents to what the writers say behind the
 * instant. Whatever fails, Abort is sent and all is released.
 */

import { abortable, deadline, throwIfAborted, type Clock } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import type { Log } from '../../../base/log.ts'
import { printable } from '../../../base/text.ts'
import { inTurns, type Work } from '../../../base/turns.ts'
import {
  parsingBackupComponents, parsingWriterMetadata, type WriterMetadata,
} from './documents.ts'
import { askFailedComponents, type FailedComponents } from './failed-components.ts'
import { VssFault, type Hresult } from './hresult.ts'
import {
  observeWriters, troubleOf, type AddedWriters, type ObservedWriter,
} from './observed-writers.ts'
import { selectingComponents, type Selection, type VolumeOfPath } from './selection.ts'
import type {
  BackupSetup, FailedComponent, GatheredWriter, SavedDocuments, SnapshotProperties, VssBackup,
  VssTransport, WriterStatus,
} from './transport.ts'

/** Writers prepare in their own time: checkpoints of busy databases take minutes. */
const STEP_MS = 15 * 60_000
/** Nothing but asking and being answered. */
const SHORT_STEP_MS = 2 * 60_000
/** After a failure: whoever waits for us is held by nobody any more. */
const ABORT_MS = 60_000

export interface SessionRequest {
  readonly setup: BackupSetup
  /** Names of volumes as `volumeOf` gives them. */
  readonly volumes: readonly string[]
  /** Writer ids of the applications that were promised. */
  readonly promised: ReadonlySet<string>
  readonly volumeOf: VolumeOfPath
}

export interface SessionPorts {
  readonly transport: VssTransport
  readonly clock: Clock
  readonly log: Log
}

/** What one step was and how it ended: the transcript of a session. */
export interface TranscriptEntry {
  readonly atMs: number
  readonly step: string
  /** `ok`, or what it ended with. */
  readonly ended: string
}

/** A set that was made. The receiver owns `backup`. */
export interface MadeSet {
  readonly backup: VssBackup
  readonly selection: Selection
  readonly writers: readonly ObservedWriter[]
  readonly snapshots: readonly SnapshotProperties[]
  readonly documents: SavedDocuments
  readonly transcript: TranscriptEntry[]
}

/** Why there is no set; Abort has been sent, and everything is released. */
export interface NoSet {
  readonly fault: Fault
  readonly step: Hresult | null
  /** Writers with components in the backup that failed, as far as they could be asked. */
  readonly writers: readonly FailedWriter[]
  readonly transcript: readonly TranscriptEntry[]
}

export interface FailedWriter {
  readonly writerId: string
  readonly failure: Hresult
  readonly failedComponents: readonly FailedComponent[] | undefined
}

/** Faults: the signal's reason, and what is no Fault at all. */
export async function attempt(
  request: SessionRequest, without: ReadonlySet<string>, ports: SessionPorts, signal: AbortSignal,
): Promise<{ readonly made: MadeSet } | { readonly failed: NoSet }> {
  const transcript: TranscriptEntry[] = []
  const steps = new Steps(ports.clock, transcript, signal)
  let backup: VssBackup | undefined
  const added = new Map<string, string>()
  try {
    backup = await openBackup(request, ports, steps, signal)
    return { made: await run(backup, request, without, steps, added, ports.log) }
  } catch (error) {
    const writers = backup === undefined ? []
      : await endFailed(backup, error, added, ports, transcript)
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    return { failed: {
      fault: error, step: error instanceof VssFault ? error.hresult : null, writers, transcript } }
  }
}

/** An open that comes back after its deadline is released all the same. */
export async function openBackup(
  { setup }: Pick<SessionRequest, 'setup'>, { transport }: SessionPorts, steps: Steps,
  signal: AbortSignal,
): Promise<VssBackup> {
  throwIfAborted(signal)
  let opening: Promise<VssBackup> | undefined
  try {
    return await steps.take('InitializeForBackup', SHORT_STEP_MS, (limit) =>
      opening = transport.open(setup, limit))
  } catch (error) {
    opening?.then((late) => late[Symbol.asyncDispose](), () => {})
    throw error
  }
}

async function run(
  backup: VssBackup, request: SessionRequest, without: ReadonlySet<string>, steps: Steps,
  added: Map<string, string>, log: Log,
): Promise<MadeSet> {
  const gathered = await steps.take('GatherWriterMetadata', STEP_MS, (limit) =>
    backup.gatherWriterMetadata(limit))
  const before = await steps.work(readingMetadata(gathered.flatMap(({ instanceId, document }) =>
    document === undefined ? [] : { instanceId, document })))
  const selection = await steps.work(selectingComponents({ ...request, writers: before, without }))
  await chooseWriters(backup, request, selection, gathered, steps)
  for (const { metadata, added: components } of selection.writers) {
    if (components.length > 0) added.set(metadata.instanceId, metadata.writerId)
  }
  const snapshotIds = await addVolumes(backup, selection.volumes, steps)
  await steps.take('PrepareForBackup', STEP_MS, (limit) => backup.prepareForBackup(limit))
  const prepared = await steps.take('GatherWriterStatus', SHORT_STEP_MS, (limit) =>
    backup.gatherWriterStatus(limit))
  failOnTrouble(prepared, added)
  await steps.take('DoSnapshotSet', STEP_MS, (limit) => backup.doSnapshotSet(limit))
  const statuses = await steps.take('GatherWriterStatus', SHORT_STEP_MS, (limit) =>
    backup.gatherWriterStatus(limit))
  const failed = await askFailedComponents(
    backup, troubleOf(statuses, added, 'snapshot'), steps, log)
  const snapshots: SnapshotProperties[] = []
  for (const id of snapshotIds) {
    snapshots.push(await steps.take('GetSnapshotProperties', SHORT_STEP_MS, (limit) =>
      backup.snapshotProperties(id, limit)))
  }
  const documents = await steps.take('SaveAsXML', SHORT_STEP_MS, (limit) =>
    backup.saveDocuments(limit))
  const metadata = [...before, ...await steps.work(readingMetadata(
    documents.writerMetadata.filter(({ instanceId, document }) => !gathered.some((it) =>
      it.instanceId === instanceId && it.document === document))))]
  const late = metadata.filter(({ instanceId }) =>
    !selection.writers.some((it) => it.metadata.instanceId === instanceId))
  const selectedLate = await steps.work(selectingComponents({
    ...request, writers: late, without, promised: new Set() }))
  const writers = observeWriters({
    gathered, statuses, metadata, failed,
    selected: [...selection.writers, ...selectedLate.writers],
    components: await steps.work(parsingBackupComponents(documents.backupComponents)),
  })
  return { backup, selection, writers, snapshots, documents, transcript: steps.transcript }
}

/** Components where the documents are known; where they come later, the promised writers. */
async function chooseWriters(
  backup: VssBackup, { promised }: SessionRequest, selection: Selection,
  gathered: readonly GatheredWriter[], steps: Steps,
): Promise<void> {
  for (const { added } of selection.writers) {
    for (const component of added) {
      await steps.take('AddComponent', SHORT_STEP_MS, (limit) =>
        backup.addComponent(component, limit))
    }
  }
  for (const { writerId, document } of gathered) {
    if (document !== undefined || !promised.has(writerId)) continue
    await steps.take('RequireWriter', SHORT_STEP_MS, (limit) =>
      backup.requireWriter?.(writerId, limit) ?? Promise.resolve())
  }
}

async function addVolumes(
  backup: VssBackup, volumes: readonly string[], steps: Steps): Promise<readonly string[]> {
  await steps.take('StartSnapshotSet', SHORT_STEP_MS, (limit) => backup.startSnapshotSet(limit))
  const ids: string[] = []
  for (const volume of volumes) {
    const isSupported = await steps.take('IsVolumeSupported', SHORT_STEP_MS, (limit) =>
      backup.isVolumeSupported(volume, limit))
    if (!isSupported) {
      throw new Fault('unsupported', `no shadow copy can be made of ${printable(volume, 100)}`, {
        advice: 'Leave this volume out.' })
    }
    ids.push(await steps.take('AddToSnapshotSet', SHORT_STEP_MS, (limit) =>
      backup.addToSnapshotSet(volume, limit)))
  }
  return ids
}

/** A document that cannot be read is its writer's loss alone: nothing of it can be added. */
export function* readingMetadata(
  documents: readonly { readonly instanceId: string; readonly document: string }[],
): Work<readonly WriterMetadata[]> {
  const read: WriterMetadata[] = []
  for (const { instanceId, document } of documents) {
    try {
      const metadata = yield* parsingWriterMetadata(document)
      if (metadata.instanceId === instanceId) read.push(metadata)
    } catch (error) {
      if (!isFault(error)) throw error
    }
  }
  return read
}

/** Before the freeze nothing is lost by stopping here. */
function failOnTrouble(statuses: readonly WriterStatus[], added: AddedWriters): void {
  const [first] = troubleOf(statuses, added, 'prepared')
  if (first === undefined) return
  throw new VssFault(`PrepareForBackup of ${printable(first.name, 60)}`, first.failure)
}

/**
 * Asks who failed, sends Abort and releases; nothing here may hide the first fault. Only a step
 * that VSS itself ended leaves a conversation that can be asked.
 */
async function endFailed(
  backup: VssBackup, error: unknown, added: AddedWriters, { clock, log }: SessionPorts,
  transcript: TranscriptEntry[],
): Promise<NoSet['writers']> {
  const last = new Steps(clock, transcript, undefined)
  let writers: NoSet['writers'] = []
  const begun = transcript.some(({ step }) => step === 'PrepareForBackup')
  const quietly = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act()
    } catch (error) {
      log.warn('vss.cleanup-failed', {
        step: what, reason: printable(error instanceof Error ? error.message : String(error)) })
    }
  }
  if (begun && error instanceof VssFault) {
    await quietly('status', async () => {
      const statuses = await last.take('GatherWriterStatus', SHORT_STEP_MS, (limit) =>
        backup.gatherWriterStatus(limit))
      const troubled = troubleOf(statuses, added, 'failed')
      const failed: FailedComponents = await askFailedComponents(backup, troubled, last, log)
      writers = troubled.map(({ writerId, instanceId, failure }) =>
        ({ writerId, failure, failedComponents: failed.get(instanceId) }))
    })
  }
  if (begun) {
    await quietly('abort', () =>
      last.take('AbortBackup', ABORT_MS, (limit) => backup.abortBackup(limit)))
  }
  await quietly('release', async () => { await backup[Symbol.asyncDispose]() })
  return writers
}

/** Takes steps with a limit each, and writes down how they ended. */
export class Steps {
  readonly transcript: TranscriptEntry[]
  readonly #clock: Clock
  readonly #signal: AbortSignal | undefined

  constructor(clock: Clock, transcript: TranscriptEntry[], signal: AbortSignal | undefined) {
    this.#clock = clock
    this.transcript = transcript
    this.#signal = signal
  }

  async take<T>(
    step: string, limitMs: number, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using limit = deadline(this.#clock, limitMs, step, this.#signal)
    throwIfAborted(limit.signal)
    try {
      const result = await abortable(act(limit.signal), limit.signal)
      this.note(step, 'ok')
      return result
    } catch (error) {
      this.note(step, printable(error instanceof Error ? error.message : String(error)))
      throw error
    }
  }

  /** What is done here, beside VSS: in turns of the event loop. */
  work<T>(work: Work<T>): Promise<T> {
    return inTurns(work, this.#clock, this.#signal ?? NEVER)
  }

  note(step: string, ended: string): void {
    this.transcript.push({ atMs: this.#clock.monotonicMs(), step, ended })
  }
}

const NEVER = new AbortController().signal
