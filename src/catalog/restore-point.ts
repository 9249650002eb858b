/** Restore points, read from the repository alone: what an operator picks. */

import { Fault, isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import {
  decodeEvidence, gradeOf, GRADES, heldMs, MAX_EVIDENCE_BYTES, stalledMs, type Evidence,
  type Grade, type GradeResult,
} from '../consistency/mod.ts'
import {
  goTimeMs, type BlobId, type FileId, type Repository, type StoredSnapshot, type TreeNode,
} from '../repository/mod.ts'
import { claimedGrade, POINT, STILLPOINT_TAG } from './layout.ts'
import { MAX_MACHINE_BYTES, PART_NAME, parseStoredMachine, type StoredMachine } from './machine.ts'

export interface RestorePoint {
  readonly state: 'readable'
  /** The UUID in the evidence: what the point is keyed by, also after its snapshot is rewritten. */
  readonly pointId: string
  readonly snapshotId: FileId
  /** Wall time of the instant, milliseconds since 1970. */
  readonly timeMs: number
  readonly machine: StoredMachine
  readonly evidence: Evidence
  /** Computed from the evidence, now. */
  readonly result: GradeResult
  /** What the snapshot's tag claims; undefined if it claims none. */
  readonly claimed: Grade | undefined
  readonly heldMs: number | null
  readonly stalledMs: number | null
  /** All disks of the point. */
  readonly sizeBytes: number
  /** What the run added to the repository; undefined where the snapshot does not say. */
  readonly bytesAdded: number | undefined
  readonly disks: readonly PointDisk[]
  /** Files under `/platform`, by name. */
  readonly documents: readonly { readonly name: string; readonly content: readonly BlobId[] }[]
}

export interface PointDisk {
  readonly id: string
  readonly sizeBytes: number
  readonly chunkBytes: number
  readonly segmentBytes: number
  readonly treeId: BlobId
}

/** A snapshot with our tag of which a part is missing or cannot be understood. */
export interface DamagedPoint {
  readonly state: 'damaged'
  readonly snapshotId: FileId
  /** What the snapshot file says; 0 where that cannot be read. */
  readonly timeMs: number
  /** The snapshot's hostname, printable; empty where that cannot be read. */
  readonly machineName: string
  readonly reason: string
}

export type ListedPoint = RestorePoint | DamagedPoint

const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
const MAX_DOCUMENTS = 1000

/**
 * All restore points, oldest first; snapshots without our tag are not ours and left out. What
 * cannot be understood is listed as damaged, a snapshot file that nobody can read among it: it may
 * have been ours. Faults: those of the store and the index.
 */
export async function readRestorePoints(
  repository: Repository, signal: AbortSignal): Promise<readonly ListedPoint[]> {
  const stored: StoredSnapshot[] = []
  const points: ListedPoint[] = []
  for (const id of await repository.snapshotIds(signal)) {
    try {
      stored.push(await repository.snapshot(id, signal))
    } catch (error) {
      points.push(damaged(error, { snapshotId: id, timeMs: 0, machineName: '' }, signal))
    }
  }
  // Only now: what the snapshots refer to is in index files that are at most as new as they are.
  await repository.loadIndex(signal)
  for (const snapshot of stored) {
    if (snapshot.snapshot.tags?.includes(STILLPOINT_TAG) !== true) continue
    points.push(await readRestorePoint(repository, snapshot, signal))
  }
  return points.toSorted((a, b) => a.timeMs - b.timeMs)
}

async function readRestorePoint(
  repository: Repository, stored: StoredSnapshot, signal: AbortSignal): Promise<ListedPoint> {
  try {
    return await readParts(repository, stored, signal)
  } catch (error) {
    return damaged(error, {
      snapshotId: stored.id,
      timeMs: goTimeMs(stored.snapshot.time),
      machineName: printable(stored.snapshot.hostname ?? '', 100),
    }, signal)
  }
}

/** The point that `error` leaves of it; rethrows what says nothing of the point itself. */
function damaged(
  error: unknown, known: Omit<DamagedPoint, 'state' | 'reason'>, signal: AbortSignal,
): DamagedPoint {
  if (signal.aborted || !isFault(error, 'point-invalid', 'repository-damaged')) throw error
  return { state: 'damaged', ...known, reason: printable(error.message) }
}

async function readParts(
  repository: Repository, { id, snapshot }: StoredSnapshot, signal: AbortSignal,
): Promise<RestorePoint> {
  const root = await readFolder(repository, snapshot.tree, signal)
  const readFile = (name: string, maxBytes: number): Promise<Uint8Array> =>
    readContent(repository, root.get(name), name, maxBytes, signal)
  const evidence = decodeEvidence(await readFile(POINT.evidence, MAX_EVIDENCE_BYTES))
  const machine = parseStoredMachine(
    await readFile(POINT.machine, MAX_MACHINE_BYTES), POINT.machine)
  if (machine.name !== evidence.machine.name) {
    throw invalid('machine.json and the evidence name different machines')
  }
  const platform = await readSubfolder(repository, root.get(POINT.platform), signal)
  const disks = await readDisks(repository, root.get(POINT.disks), machine, evidence, signal)
  const claim = claimedGrade(snapshot.tags ?? [])
  return {
    state: 'readable',
    pointId: evidence.pointId,
    snapshotId: id,
    timeMs: Date.parse(evidence.instant.takenAt),
    machine,
    evidence,
    result: gradeOf(evidence),
    claimed: GRADES.find((grade) => grade === claim),
    heldMs: heldMs(evidence.hold),
    stalledMs: stalledMs(evidence.hold),
    sizeBytes: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    bytesAdded: snapshot.summary?.dataAddedPacked,
    disks,
    documents: documentsOf(platform),
  }
}

/** The disks that machine.json names; it, the evidence and the folders must agree on them. */
async function readDisks(
  repository: Repository, folder: TreeNode | undefined, machine: StoredMachine,
  evidence: Evidence, signal: AbortSignal,
): Promise<readonly PointDisk[]> {
  const nodes = await readSubfolder(repository, folder, signal)
  const captured = new Map(evidence.instant.disks.map((disk) => [disk.id, disk.sizeBytes]))
  if (captured.size !== machine.disks.length || nodes.size !== machine.disks.length) {
    throw invalid('machine.json, the evidence and the stored disks do not name the same disks')
  }
  return machine.disks.map(({ id, sizeBytes, chunkBytes, segmentBytes }) => {
    const node = nodes.get(id)
    if (node?.type !== 'dir') throw invalid(`disk ${id} of machine.json is not stored`)
    if (captured.get(id) !== sizeBytes) throw invalid(`the size of disk ${id} is contradicted`)
    return { id, sizeBytes, chunkBytes, segmentBytes, treeId: node.subtree }
  })
}

function documentsOf(folder: ReadonlyMap<string, TreeNode>): RestorePoint['documents'] {
  if (folder.size > MAX_DOCUMENTS) throw invalid('the platform folder holds too many documents')
  return [...folder.values()].map((node) => {
    if (node.type !== 'file' || !PART_NAME.test(node.name)) {
      throw invalid('the platform folder holds something else than documents')
    }
    return { name: node.name, content: node.content }
  })
}

/** The bytes of one of the point's platform documents. Faults: `point-invalid`, reading's. */
export async function readDocument(
  repository: Repository, document: RestorePoint['documents'][number], signal: AbortSignal,
): Promise<Uint8Array> {
  return readBlobs(repository, document.content, document.name, MAX_DOCUMENT_BYTES, signal)
}

async function readFolder(
  repository: Repository, id: BlobId, signal: AbortSignal): Promise<ReadonlyMap<string, TreeNode>> {
  const { nodes } = await repository.readTree(id, signal)
  return new Map(nodes.map((node) => [node.name, node]))
}

async function readSubfolder(
  repository: Repository, node: TreeNode | undefined, signal: AbortSignal,
): Promise<ReadonlyMap<string, TreeNode>> {
  if (node?.type !== 'dir') throw invalid('a folder is missing')
  return readFolder(repository, node.subtree, signal)
}

async function readContent(
  repository: Repository, node: TreeNode | undefined, name: string, maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (node?.type !== 'file') throw invalid(`${name} is missing`)
  return readBlobs(repository, node.content, name, maxBytes, signal)
}

async function readBlobs(
  repository: Repository, content: readonly BlobId[], name: string, maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for (const id of content) {
    const part = await repository.readBlob('data', id, signal)
    length += part.length
    if (length > maxBytes) throw invalid(`${printable(name, 64)} is longer than ${maxBytes} bytes`)
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

function invalid(how: string): Fault {
  return new Fault('point-invalid', `the restore point cannot be used: ${how}`, {
    advice: 'Run `stillpoint check --read-data`; another restore point may be whole.' })
}
