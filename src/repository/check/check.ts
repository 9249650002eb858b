/**
 * Checks a repository as a reader would need it: index, packs, snapshots, trees, and with
 * `readData` every byte. Goes on past what it finds.
 */

import { mapBounded } from '../../base/bounded.ts'
import type { Fault } from '../../base/fault.ts'
import { checkData, checkPacks } from './check-packs.ts'
import { checkTrees } from './check-trees.ts'
import { CheckFindings, type CheckFinding, type OnCheckEvent } from './check-findings.ts'
import type { FileId } from '../format/id.ts'
import { BlobIndex } from '../index.ts'
import { readIndexFile } from '../format/index-file.ts'
import { listIds } from '../opened-repository.ts'
import type { Repository } from '../repository.ts'
import { parseSnapshotFile, type StoredSnapshot } from '../format/snapshot-file.ts'
import { readUnpacked } from '../format/unpacked-file.ts'

export interface CheckOptions {
  /** Reads and opens all that is stored, not only what finding one's way takes. */
  readonly readData: boolean
}

export interface CheckReport {
  /** Sound but for warnings. */
  readonly isSound: boolean
  readonly errors: number
  readonly warnings: number
  /** The first of them, at most `MAX_KEPT_FINDINGS`; all were given to `onEvent`. */
  readonly findings: readonly CheckFinding[]
  readonly snapshots: number
  readonly trees: number
  readonly packs: number
  readonly blobs: number
  /** Blobs that are stored once more elsewhere: legal, and only a waste. */
  readonly duplicateBlobs: number
  /** Blobs that no snapshot needs: what `prune` would remove. */
  readonly unreferencedBlobs: number
  /** Bytes of packs that were read and opened for `readData`. */
  readonly bytesRead: number
}

const SNAPSHOTS_IN_FLIGHT = 8

/**
 * Checks what is stored now, index included, whatever the repository has loaded. Hold a lock: an
 * exclusive one, or packs of a writer at work are reported as orphans. Memory: the index, and a
 * pack or two. Faults: only those that end it, as `interrupted`; the rest is findings.
 */
export async function checkRepository(
  repository: Repository, options: CheckOptions, onEvent: OnCheckEvent, signal: AbortSignal,
): Promise<CheckReport> {
  const findings = new CheckFindings(onEvent, signal)
  // Snapshots before the index: what comes after is not in what is checked.
  const snapshots = await readSnapshots(repository, findings, signal)
  const index = await readIndex(repository, findings, signal)
  const present = await checkPacks(repository, index, findings, signal)
  const { trees, used } = await checkTrees(repository, index, snapshots.read, findings, signal)
  const bytesRead = options.readData
    ? await checkData(repository, index, present, findings, signal)
    : 0
  return {
    isSound: findings.errors === 0,
    errors: findings.errors,
    warnings: findings.warnings,
    findings: findings.kept,
    snapshots: snapshots.total,
    trees,
    packs: index.packCount,
    blobs: index.size,
    ...countSpare(index, used),
    bytesRead,
  }
}

async function readSnapshots(
  repository: Repository, findings: CheckFindings, signal: AbortSignal,
): Promise<{ readonly read: readonly StoredSnapshot[]; readonly total: number }> {
  const ids = await repository.snapshotIds(signal)
  const read: StoredSnapshot[] = []
  const { storage, masterKey } = repository
  const readOne = (id: FileId): Promise<StoredSnapshot | Fault> => findings.attempt(async () => {
    const json = await readUnpacked(storage, masterKey, 'snapshots', id, signal)
    return { id, snapshot: parseSnapshotFile(json, `snapshots/${id}`) }
  })
  let done = 0
  for await (const snapshot of mapBounded(ids, { inFlight: SNAPSHOTS_IN_FLIGHT }, readOne)) {
    if (snapshot instanceof Error) findings.add('error', 'snapshot-damaged', snapshot.message)
    else read.push(snapshot)
    findings.progress('snapshots', ++done, ids.length)
  }
  return { read, total: ids.length }
}

async function readIndex(
  { storage, masterKey }: Repository, findings: CheckFindings, signal: AbortSignal,
): Promise<BlobIndex> {
  const index = new BlobIndex()
  const ids = await listIds(storage, 'index', signal)
  for (const [done, id] of ids.entries()) {
    const read = await findings.attempt(async () => {
      const json = await readUnpacked(storage, masterKey, 'index', id, signal)
      for (const pack of readIndexFile(json, `index/${id}`)) index.addPack(pack)
    })
    if (read instanceof Error) findings.add('error', 'index-damaged', read.message)
    findings.progress('index', done + 1, ids.length)
  }
  return index
}

function countSpare(
  index: BlobIndex, used: Uint8Array,
): { readonly duplicateBlobs: number; readonly unreferencedBlobs: number } {
  let duplicateBlobs = 0
  let unreferencedBlobs = 0
  let entry = 0
  for (const { kind, id } of index) {
    if (index.entryOf(kind, id) !== entry) duplicateBlobs++
    else if (used[entry] === 0) unreferencedBlobs++
    entry++
  }
  return { duplicateBlobs, unreferencedBlobs }
}
