/** A repository in memory and disks to store in it. */

import { Secret } from '../../base/secret.ts'
import { silentLog } from '../../base/log.ts'
import { systemRandom } from '../../base/random.ts'
import { systemClock } from '../../base/clock.ts'
import type { BlockSource } from '../../disk/mod.ts'
import { memorySink } from '../../disk/testing/mod.ts'
import type { Storage } from '../../storage/mod.ts'
import { goTime } from '../format/go-json.ts'
import { copyDisk } from '../disks/copy-disk.ts'
import type { DiskGeometry } from '../disks/disk-layout.ts'
import { storeDisk, type StoredDisk, type StoreDiskOptions } from '../disks/disk-tree.ts'
import type { BlobId, FileId } from '../format/id.ts'
import { dirNode } from '../format/node.ts'
import { initRepository, openRepository } from '../open.ts'
import type { Repository } from '../repository.ts'
import { beginWrite, type WriteOptions } from '../write/write-session.ts'

export const TEST_PASSWORD = 'correct horse'

const person = { hostname: 'test', username: 'tester' }
const cheapScrypt = { N: 2, r: 1, p: 1 }

/** Makes a repository whose password costs nothing, unless there is one, and opens it. */
export async function openTestRepository(
  storage: Storage, signal: AbortSignal): Promise<Repository> {
  const context = {
    ...person, password: new Secret(TEST_PASSWORD), clock: systemClock, random: systemRandom,
  }
  const isThere = await storage.get({ kind: 'config', name: 'config' }, {}, signal)
    .then(() => true, () => false)
  if (!isThere) await initRepository(storage, { ...context, scryptCost: cheapScrypt }, signal)
  return openRepository(storage, { ...context, log: silentLog }, signal)
}

/** Stores `source` as `/disks/disk` of a snapshot of its own. */
export async function storeTestDisk(
  repository: Repository, source: BlockSource, options: StoreDiskOptions, signal: AbortSignal,
  writing: WriteOptions = { workers: 2 },
): Promise<StoredDisk & { readonly snapshotId: FileId }> {
  await using session = await beginWrite(repository, writing, signal)
  const disk = await storeDisk(session, source, options, () => {}, signal)
  const disks = await session.saveTree({ nodes: [dirNode('disk', disk.treeId)] })
  const tree = await session.saveTree({ nodes: [dirNode('disks', disks)] })
  await session.flush(signal)
  const snapshotId = await session.saveSnapshot({
    time: goTime(1_700_000_000_000), tree, paths: ['/machine'], hostname: 'test', tags: ['test'],
  }, signal)
  return { ...disk, snapshotId }
}

/** All of a stored disk in one buffer, by the fast path. */
export async function readTestDisk(
  repository: Repository, treeId: BlobId, geometry: DiskGeometry, signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const disk = new Uint8Array(geometry.sizeBytes)
  await copyDisk(repository, treeId, geometry, memorySink(disk), {}, () => {}, signal)
  return disk
}
