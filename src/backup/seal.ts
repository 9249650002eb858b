/** Makes a restore point of what was captured: documents, trees, and last the snapshot file. */

import {
  encodeStoredMachine, gradeTag, POINT, STILLPOINT_TAG, subjectsOf, type PlatformDocument,
  type StoredMachine,
} from '../catalog/mod.ts'
import {
  signStatement, type ChainPlace, type Digest, type Evidence, type Grade, type Signer,
} from '../consistency/mod.ts'
import {
  dirNode, fileNode, goTime, restoreText, type BlobId, type FileId, type Repository,
  type TreeNode, type WriteSession,
} from '../repository/mod.ts'

export interface SealRequest {
  readonly machine: StoredMachine
  readonly documents: readonly PlatformDocument[]
  /** The tree of each captured disk, by its id. */
  readonly diskTrees: ReadonlyMap<string, BlobId>
  readonly evidence: Evidence
  /** Where the evidence stands in the machine's chain. */
  readonly place: ChainPlace
  readonly signer: Signer
  /** The grade claimed at the seal; it becomes a tag. */
  readonly grade: Grade
  readonly programVersion: string
  /** Bytes of all captured disks, for the snapshot's summary. */
  readonly sizeBytes: number
}

/** A restore point as it was sealed. */
export interface Sealed extends ChainPlace {
  readonly snapshotId: FileId
  /** Of the signed evidence. */
  readonly digest: Digest
}

/**
 * Flushes the session and stores the snapshot. When it resolves the restore point exists and is
 * durable; when it throws there is none, or, if the store's answer was lost, the whole one.
 */
export async function seal(
  repository: Repository, session: WriteSession, request: SealRequest, signal: AbortSignal,
): Promise<Sealed> {
  const { machine, evidence, diskTrees, place } = request
  const parts = {
    machine: encodeStoredMachine(machine),
    restoreText: restoreText({ machine: machine.name, disks: machine.disks }),
    diskTrees,
    platformTree: await saveFolder(session, await saveDocuments(session, request)),
  }
  const { envelope, digest } = signStatement({
    kind: 'point', ...place, repositoryId: repository.id, subjects: subjectsOf(parts), evidence,
  }, request.signer)
  const root = await saveFolder(session, [
    await saveText(session, POINT.machine, parts.machine),
    await saveText(session, POINT.evidence, envelope),
    await saveText(session, POINT.restoreText, parts.restoreText),
    dirNode(POINT.disks, await saveFolder(session,
      [...diskTrees].map(([id, treeId]) => dirNode(id, treeId)))),
    dirNode(POINT.platform, parts.platformTree),
  ])
  await session.flush(signal)
  const now = repository.clock.nowMs()
  const { bytesAdded, plaintextAdded, dataBlobs, treeBlobs } = session.counts
  const files = 3 + diskTrees.size + request.documents.length
  const snapshotId = await session.saveSnapshot({
    time: goTime(now),
    tree: root,
    paths: [POINT.path],
    hostname: machine.name,
    username: 'stillpoint',
    tags: [STILLPOINT_TAG, gradeTag(request.grade)],
    programVersion: `stillpoint ${request.programVersion}`,
    summary: {
      backupStart: goTime(Date.parse(evidence.startedAt)),
      backupEnd: goTime(now),
      filesNew: files, filesChanged: 0, filesUnmodified: 0,
      dirsNew: 0, dirsChanged: 0, dirsUnmodified: 0,
      dataBlobs, treeBlobs,
      dataAdded: plaintextAdded, dataAddedPacked: bytesAdded,
      totalFilesProcessed: files, totalBytesProcessed: request.sizeBytes,
    },
  }, signal)
  return { snapshotId, digest, ...place }
}

/** A document of VSS has some 10 MB; a blob of restic's format is at most 8 MiB. */
const MAX_TEXT_BLOB = 4 * 1024 * 1024

async function saveDocuments(
  session: WriteSession, request: SealRequest): Promise<readonly TreeNode[]> {
  const nodes: TreeNode[] = []
  for (const { name, text } of request.documents) nodes.push(await saveText(session, name, text))
  return nodes
}

async function saveText(
  session: WriteSession, name: string, text: string | Uint8Array): Promise<TreeNode> {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
  if (bytes.length === 0) return fileNode(name, 0, [])
  const blobs: BlobId[] = []
  for (let at = 0; at < bytes.length; at += MAX_TEXT_BLOB) {
    blobs.push(await session.saveData(bytes.subarray(at, at + MAX_TEXT_BLOB)))
  }
  return fileNode(name, bytes.length, blobs)
}

async function saveFolder(session: WriteSession, nodes: readonly TreeNode[]): Promise<BlobId> {
  // All our names are ASCII, so the order of strings is the order of bytes that trees need.
  return session.saveTree({
    nodes: nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  })
}
