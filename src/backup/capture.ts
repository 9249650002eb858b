/** Reads a committed set into the repository, and seals it if the policy lets it. */

import type { MachineDescription, PlatformDocument, StoredMachine } from '../catalog/mod.ts'
import {
  gradeOf, heldMs, judge, outlookOf, stalledMs, type CommittedSet, type Evidence,
  type GradeResult, type Judgement, type ReadingEvidence,
} from '../consistency/mod.ts'
import type { BlockSource } from '../disk/mod.ts'
import {
  beginWrite, DEFAULT_CHUNK_BYTES, SEGMENT_BYTES, storeDisk, type BlobId, type StoredDisk,
  type WriteCounts, type WriteSession,
} from '../repository/mod.ts'
import type { BackupSummary } from './backup-summary.ts'
import { probeSet } from './probe-set.ts'
import type { BackupRequest } from './run-backup.ts'
import { seal } from './seal.ts'
import type { TakenSet } from './snapshot-set.ts'

interface OpenDisk {
  readonly id: string
  readonly source: BlockSource
}

type Summary = Omit<BackupSummary, 'durationMs'>

/**
 * Opens the captured disks, looks at their file systems, judges before terabytes are read, reads
 * them, judges again and seals. Faults: `snapshot-broken`, `scratch-full` and other faults of
 * reading, those of the repository; none leaves a point.
 */
export async function capture(
  request: BackupRequest,
  description: {
    readonly machine: MachineDescription; readonly documents: readonly PlatformDocument[] },
  taken: TakenSet,
  signal: AbortSignal,
): Promise<Summary> {
  await using sources = new AsyncDisposableStack()
  const disks: OpenDisk[] = []
  for (const { id } of taken.evidence.instant.disks) {
    disks.push({ id, source: sources.use(await taken.committed.open(id, signal)) })
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

  const session = sources.use(await beginWrite(request.repository, request.write, signal))
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
  const snapshotId = await seal(request.repository, session, {
    machine: storedMachine(description.machine, evidence),
    documents: description.documents,
    diskTrees: new Map([...stored].map(([id, disk]): [string, BlobId] => [id, disk.treeId])),
    evidence, grade: result.grade, programVersion: request.programVersion,
    sizeBytes: sizeOf(evidence),
  }, signal)
  return summarise(
    taken.committed, evidence, result, judgement, { snapshotId }, session.counts)
}

async function storeDisks(
  { onEvent }: BackupRequest, session: WriteSession, disks: readonly OpenDisk[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, StoredDisk>> {
  const stored = new Map<string, StoredDisk>()
  let readBefore = 0
  for (const { id, source } of disks) {
    const disk = await storeDisk(session, source, { chunkBytes: DEFAULT_CHUNK_BYTES },
      ({ doneBytes, sizeBytes, bytesRead }) => onEvent({
        kind: 'reading', diskId: id, doneBytes, sizeBytes,
        bytesRead: readBefore + bytesRead, bytesAdded: session.counts.bytesAdded,
      }), signal)
    readBefore += disk.bytesRead
    stored.set(id, disk)
  }
  return stored
}

async function readingOf(
  committed: CommittedSet, stored: ReadonlyMap<string, StoredDisk>, signal: AbortSignal,
): Promise<ReadingEvidence> {
  return {
    state: 'finished',
    instant: await committed.stillIntact(signal),
    disks: [...stored].map(([diskId, { bytesRead }]) => ({ diskId, bytesRead })),
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
    mode: 'full',
    modeReason: 'change tracking is not there yet: every backup reads all that is in use',
    sizeBytes: sizeOf(evidence),
    bytesRead: counts?.bytesRead ?? 0,
    bytesAdded: counts?.bytesAdded ?? 0,
  }
}
