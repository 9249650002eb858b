/** Signed records about restore points: small snapshots of their own (docs/evidence.md). */

import { isFault } from '../base/fault.ts'
import {
  MAX_ENVELOPE_BYTES, readStatement, signStatement, type RecordStatement, type Signer,
  type SignedStatement,
} from '../consistency/mod.ts'
import {
  beginWrite, fileNode, goTime, type FileId, type Repository, type RepositoryLock,
  type StoredSnapshot,
} from '../repository/mod.ts'
import { RECORD_FILE, recordPlace } from './layout.ts'
import { readContent, readFolder } from './read-parts.ts'

export interface PointRecord {
  readonly snapshotId: FileId
  readonly signed: SignedStatement<RecordStatement>
}

/** The record in a snapshot; undefined if it is none that can be understood. */
export async function readRecord(
  repository: Repository, { id, snapshot }: StoredSnapshot, signal: AbortSignal,
): Promise<PointRecord | undefined> {
  try {
    const root = await readFolder(repository, snapshot.tree, signal)
    const name = Object.values(RECORD_FILE).find((file) => root.has(file)) ?? ''
    const bytes = await readContent(
      repository, root.get(name), 'the record', MAX_ENVELOPE_BYTES, signal)
    const { statement, ...signed } = readStatement(bytes, 'the record')
    return statement.kind === 'point' ? undefined
      : { snapshotId: id, signed: { ...signed, statement } }
  } catch (error) {
    if (!isFault(error, 'point-invalid', 'evidence-invalid', 'repository-damaged')) throw error
    signal.throwIfAborted()
    return undefined
  }
}

export interface RecordRequest {
  readonly statement: RecordStatement
  readonly signer: Signer
  /** Held by the caller. */
  readonly lock: RepositoryLock
  readonly programVersion: string
}

/** Signs and stores a record; its snapshot's id. Faults: those of the store, `lock-lost`. */
export async function storeRecord(
  repository: Repository, { statement, signer, lock, programVersion }: RecordRequest,
  signal: AbortSignal,
): Promise<FileId> {
  const bytes = new TextEncoder().encode(signStatement(statement, signer).envelope)
  await using session = await beginWrite(repository, { lock }, signal)
  const name = RECORD_FILE[statement.kind]
  const tree = await session.saveTree({
    nodes: [fileNode(name, bytes.length, [await session.saveData(bytes)])] })
  await session.flush(signal)
  const pointId = statement.kind === 'tombstones' ? undefined : statement.pointId
  return await session.saveSnapshot({
    time: goTime(repository.clock.nowMs()), tree, username: 'stillpoint',
    ...recordPlace(statement.machine, pointId), programVersion: `stillpoint ${programVersion}`,
  }, signal)
}
