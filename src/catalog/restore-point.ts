/** Restore points, read from the repository alone: what an operator picks. */

import { isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import {
  gradeOf, GRADES, heldMs, stalledMs, type Evidence, type Grade, type GradeResult,
} from '../consistency/mod.ts'
import {
  goTimeMs, type BlobId, type FileId, type Repository, type StoredSnapshot, type TreeNode,
} from '../repository/mod.ts'
import { claimedGrade, POINT } from './layout.ts'
import { MAX_MACHINE_BYTES, PART_NAME, parseStoredMachine, type StoredMachine } from './machine.ts'
import { effectiveResult, readSeal, type Pins, type SealedEvidence } from './point-seal.ts'
import {
  invalidPoint, readContent, readFileBlobs, readFolder, readSubfolder,
} from './read-parts.ts'

export interface RestorePoint {
  readonly state: 'readable'
  /** The UUID in the evidence: what the point is keyed by, also after its snapshot is rewritten. */
  readonly pointId: string
  readonly snapshotId: FileId
  /** Wall time of the instant, milliseconds since 1970. */
  readonly timeMs: number
  readonly machine: StoredMachine
  readonly evidence: Evidence
  /** What the evidence is signed with, and whether the point is still what it speaks of. */
  readonly seal: SealedEvidence
  /** Computed from the evidence, now; `torn` where the seal does not hold. */
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
  /** Its evidence, where that alone can be read. */
  readonly seal?: SealedEvidence | undefined
}

export type ListedPoint = RestorePoint | DamagedPoint

const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
const MAX_DOCUMENTS = 1000

/** Reads one snapshot with our tag; what cannot be understood is damaged. Faults: the store's. */
export async function readRestorePoint(
  repository: Repository, stored: StoredSnapshot, pins: Pins, signal: AbortSignal,
): Promise<ListedPoint> {
  let seal: SealedEvidence | undefined
  try {
    const root = await readFolder(repository, stored.snapshot.tree, signal)
    seal = await readSeal(repository, root, signal)
    return await readParts(repository, stored, root, seal, pins, signal)
  } catch (error) {
    return damagedPoint(error, {
      snapshotId: stored.id,
      timeMs: goTimeMs(stored.snapshot.time),
      machineName: printable(stored.snapshot.hostname ?? '', 100),
      seal,
    }, signal)
  }
}

/** The point that `error` leaves of it; rethrows what says nothing of the point itself. */
export function damagedPoint(
  error: unknown, known: Omit<DamagedPoint, 'state' | 'reason'>, signal: AbortSignal,
): DamagedPoint {
  const isKnown = isFault(error, 'point-invalid', 'evidence-invalid', 'repository-damaged')
  if (signal.aborted || !isKnown) throw error
  return { state: 'damaged', ...known, reason: printable(error.message) }
}

async function readParts(
  repository: Repository, { id, snapshot }: StoredSnapshot, root: ReadonlyMap<string, TreeNode>,
  seal: SealedEvidence, pins: Pins, signal: AbortSignal,
): Promise<RestorePoint> {
  const { evidence } = seal.statement
  const node = root.get(POINT.machine)
  const machine = parseStoredMachine(
    await readContent(repository, node, POINT.machine, MAX_MACHINE_BYTES, signal), POINT.machine)
  if (machine.name !== evidence.machine.name) {
    throw invalidPoint('machine.json and the evidence name different machines')
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
    seal,
    result: effectiveResult(gradeOf(evidence), seal, pins),
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
    throw invalidPoint('machine.json, the evidence and the stored disks do not name the same disks')
  }
  return machine.disks.map(({ id, sizeBytes, chunkBytes, segmentBytes }) => {
    const node = nodes.get(id)
    if (node?.type !== 'dir') throw invalidPoint(`disk ${id} of machine.json is not stored`)
    if (captured.get(id) !== sizeBytes) throw invalidPoint(`the size of disk ${id} is contradicted`)
    return { id, sizeBytes, chunkBytes, segmentBytes, treeId: node.subtree }
  })
}

function documentsOf(folder: ReadonlyMap<string, TreeNode>): RestorePoint['documents'] {
  if (folder.size > MAX_DOCUMENTS) throw invalidPoint('the platform folder holds too many files')
  return [...folder.values()].map((node) => {
    if (node.type !== 'file' || !PART_NAME.test(node.name)) {
      throw invalidPoint('the platform folder holds something else than documents')
    }
    return { name: node.name, content: node.content }
  })
}

/** The bytes of one of the point's platform documents. Faults: `point-invalid`, reading's. */
export async function readDocument(
  repository: Repository, document: RestorePoint['documents'][number], signal: AbortSignal,
): Promise<Uint8Array> {
  return readFileBlobs(repository, document.content, document.name, MAX_DOCUMENT_BYTES, signal)
}
