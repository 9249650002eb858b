/** Reads a committed set into the repository, and seals it if the policy lets it. */

import {
  encodeStoredMachine, type Catalog, type MachineDescription, type PlatformDocument,
  type StoredMachine,
} from '../catalog/mod.ts'
import {
  encodeEvidence, FULL_REASONS, gradeOf, heldMs, judge, outlookOf, probeSet, stalledMs,
  type CommittedSet, type Evidence,
  type GradeResult, type Judgement, type ReadingEvidence,
} from '../consistency/mod.ts'
import type { BlockSource } from '../disk/mod.ts'
import {
  beginWrite, DEFAULT_CHUNK_BYTES, SEGMENT_BYTES, storeDisk, type BlobId, type RepositoryLock,
  type StoredDisk, type WriteCounts, type WriteSession,
} from '../repository/mod.ts'
import type { BackupRequest } from './backup-request.ts'
import type { BackupSummary } from './backup-summary.ts'
import { isUnchanged, type PlannedDisk } from './disk-bases.ts'
import { nextPlaceOf } from './next-place.ts'
import { seal } from './seal.ts'
import type { TakenSet } from './snapshot-set.ts'

interface OpenDisk {
  readonly id: string
  readonly source: BlockSource
  readonly plan: PlannedDisk
}

/** A stored disk and what it was stored on. */
type CapturedDisk = StoredDisk & Pick<PlannedDisk, 'base'>

type Summary = Omit<BackupSummary, 'durationMs'>

export interface CaptureWork {
  readonly description: {
    readonly machine: MachineDescription; readonly documents: readonly PlatformDocument[] }
  readonly taken: TakenSet
  /** By disk id. */
  readonly plans: ReadonlyMap<string, PlannedDisk>
  /** Held since before the plans were made: what they take over must not be pruned. */
  readonly lock: RepositoryLock
  /** Points and records, as they were read before. */
  readonly catalog: Catalog
}

/**
 * Opens the captured disks, looks at their file systems, judges before terabytes are read, reads
 * them, judges again and seals. Faults: `snapshot-broken`, `scratch-full` and other faults of
 * reading, those of the repository; none leaves a point.
 */
export async function capture(
  request: BackupRequest, work: CaptureWork, signal: AbortSignal): Promise<Summary> {
  const { description, taken, plans, lock, catalog } = work
  await using sources = new AsyncDisposableStack()
  const disks: OpenDisk[] = []
  for (const { id } of taken.evidence.instant.disks) {
    const source = sources.use(await taken.committed.open(id, signal))
    const lost = taken.committed.lostBases?.get(id)
    const plan: PlannedDisk | undefined = lost === undefined ? plans.get(id)
      : { base: { full: lost }, stored: undefined }
    disks.push({ id, source, plan: await checkedPlan(request, plan, source, signal) })
  }
  const { before, after } = taken.evidence.fileSystems
  const probed: Evidence = {
    ...taken.evidence, fileSystems: { before, after, ...await probeSet(disks, signal) },
  }
  const outlook = outlookOf(probed)
  const early = judge(outlook, probed.policy)
  if (early.kind === 'weaker' && !early.store) {
    return summarise(taken.committed, probed, outlook, early, notStored(outlook))
  }
  // What is over the bounds of what can be stored shows now, not after hours of reading.
  encodeEvidence(probed)
  encodeStoredMachine(storedMachine(description.machine, probed))

  const session = sources.use(
    await beginWrite(request.repository, { ...request.write, lock }, signal))
  request.onEvent({ kind: 'phase', phase: 'reading' })
  const stored = await storeDisks(request, session, disks, signal)
  const reading = await readingOf(taken.committed, stored, signal)
  const evidence: Evidence = { ...probed, reading }
  const result = gradeOf(evidence)
  const judgement = judge(result, evidence.policy)
  if (judgement.kind === 'weaker' && !judgement.store) {
    return summarise(
      taken.committed, evidence, result, judgement, notStored(result), session.counts)
  }
  request.onEvent({ kind: 'phase', phase: 'sealing' })
  const place = await nextPlaceOf(request, evidence.machine.name, catalog, signal)
  const sealed = await seal(request.repository, session, {
    place, signer: request.signer,
    machine: storedMachine(description.machine, evidence),
    documents: [...description.documents, ...taken.committed.documents ?? []],
    diskTrees: new Map([...stored].map(([id, disk]): [string, BlobId] => [id, disk.treeId])),
    evidence, grade: result.grade, programVersion: request.programVersion,
    sizeBytes: sizeOf(evidence),
  }, signal)
  return summarise(
    taken.committed, evidence, result, judgement, sealed, session.counts)
}

/** The plan, unless a sample shows that the platform's record of changes is wrong. */
async function checkedPlan(
  { repository, random, log }: BackupRequest, plan: PlannedDisk | undefined, source: BlockSource,
  signal: AbortSignal,
): Promise<PlannedDisk> {
  if (plan?.stored === undefined) {
    return plan ?? { base: { full: 'not-tracked' }, stored: undefined }
  }
  if (await isUnchanged(repository, source, plan.stored, random, signal)) return plan
  log.error('backup.audit-failed', { source: source.name })
  return { base: { full: 'audit-failed' }, stored: undefined }
}

async function storeDisks(
  { repository, onEvent }: BackupRequest, session: WriteSession, disks: readonly OpenDisk[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CapturedDisk>> {
  const stored = new Map<string, CapturedDisk>()
  let readBefore = 0
  for (const { id, source, plan } of disks) {
    const whole = { offset: 0, length: source.sizeBytes }
    const options = {
      chunkBytes: DEFAULT_CHUNK_BYTES,
      ...(plan.stored === undefined || source.changes === undefined ? {} : { base: {
        repository, treeId: plan.stored.treeId, changed: source.changes(whole, signal) } }),
    }
    const disk = await storeDisk(session, source, options,
      ({ doneBytes, sizeBytes, bytesRead }) => onEvent({
        kind: 'reading', diskId: id, doneBytes, sizeBytes,
        bytesRead: readBefore + bytesRead, bytesAdded: session.counts.bytesAdded,
      }), signal)
    readBefore += disk.bytesRead
    stored.set(id, { ...disk, base: plan.base })
  }
  return stored
}

async function readingOf(
  committed: CommittedSet, stored: ReadonlyMap<string, CapturedDisk>, signal: AbortSignal,
): Promise<ReadingEvidence> {
  return {
    state: 'finished',
    instant: await committed.stillIntact(signal),
    disks: [...stored].map(([diskId, { bytesRead, base }]) => {
      const filesAsZeros = committed.filesAsZeros?.(diskId)
      return { diskId, bytesRead, base, ...filesAsZeros === undefined ? {} : { filesAsZeros } }
    }),
  }
}

/** The machine with the captured disks alone, at the sizes that were captured. */
function storedMachine(machine: MachineDescription, evidence: Evidence): StoredMachine {
  const disks = evidence.instant.disks.map(({ id, sizeBytes }) => {
    const known = machine.disks.find((disk) => disk.id === id)
    return {
      ...known ?? { bus: 'other' as const }, id, sizeBytes,
      chunkBytes: DEFAULT_CHUNK_BYTES, segmentBytes: SEGMENT_BYTES,
    }
  })
  return { ...machine, disks }
}

function sizeOf({ instant }: Evidence): number {
  return instant.disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

function notStored({ grade }: GradeResult): BackupSummary['stored'] {
  return { not: grade === 'torn' ? 'torn' : 'weaker-than-required' }
}

function summarise(
  { method }: CommittedSet, evidence: Evidence, result: GradeResult,
  judgement: Judgement, stored: BackupSummary['stored'], counts?: WriteCounts,
): Summary {
  return {
    pointId: evidence.pointId,
    machine: evidence.machine.name,
    stored, result, judgement, method,
    evidence,
    heldMs: heldMs(evidence.hold),
    stalledMs: stalledMs(evidence.hold),
    ...modeOf(evidence),
    sizeBytes: sizeOf(evidence),
    bytesRead: counts?.bytesRead ?? 0,
    bytesAdded: counts?.bytesAdded ?? 0,
  }
}

/** `incremental` if any disk's base was used; why for each disk that was read in full. */
function modeOf({ reading }: Evidence): Pick<BackupSummary, 'mode' | 'modeReason'> {
  if (reading.state === 'unfinished') return { mode: 'full', modeReason: 'nothing was read' }
  const bases = reading.disks.map(({ diskId, base }) => ({ diskId, base }))
  const since = bases.flatMap(({ base }) => 'since' in base ? [base.since.slice(0, 8)] : [])
  const reasons = bases.flatMap(({ diskId, base }) =>
    'full' in base ? [{ diskId, words: FULL_REASONS[base.full] }] : [])
  const [reason] = reasons
  const isOneReason = reasons.every(({ words }) => words === reason?.words)
  const whyFull = since.length === 0 && isOneReason
    ? reason?.words ?? 'no disk was captured'
    : reasons.map(({ diskId, words }) => `${diskId} in full: ${words}`).join('; ')
  if (since.length === 0) return { mode: 'full', modeReason: whyFull }
  const changes = `what changed since ${[...new Set(since)].join(', ')}`
  return {
    mode: 'incremental', modeReason: reasons.length === 0 ? changes : `${changes}; ${whyFull}` }
}
