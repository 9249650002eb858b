/**
 * The repository of one life. All lives begin with the same empty one, as to make one, and to try
 * a password on it, is the dearest part of a life and takes threads, which virtual time knows none.
 */

import assert from 'node:assert/strict'
import { silentLog } from '../../../src/base/log.ts'
import { Secret } from '../../../src/base/secret.ts'
import type { Clock } from '../../../src/base/clock.ts'
import { readCatalog, verifyPoint, type RestorePoint } from '../../../src/catalog/mod.ts'
import { testSigner } from '../../../src/consistency/testing/mod.ts'
import {
  checkRepository, initRepository, openDiskImage, openRepository, pruneRepository,
  type Repository,
} from '../../../src/repository/mod.ts'
import { reopen } from '../../../src/repository/testing/mod.ts'
import type { Storage } from '../../../src/storage/mod.ts'
import { openMemoryStorage } from '../../../src/storage/testing/mod.ts'
import { THOROUGH } from '../vault.ts'
import { Dice } from './dice.ts'
import { NEVER, VirtualClock } from './virtual-clock.ts'

/** Signs every point of every life. */
export const SIGNER = testSigner()

const HOST = { password: new Secret('correct horse'), hostname: 'sim', username: 'sim' }

let empty: Promise<{ readonly storage: Storage; readonly repository: Repository }> | undefined

function theEmptyOne(): NonNullable<typeof empty> {
  empty ??= (async () => {
    const storage = openMemoryStorage()
    const context = { ...HOST, clock: new VirtualClock(), random: new Dice(1).bytes }
    const scryptCost = { N: 2, r: 1, p: 1 }
    await initRepository(storage, { ...context, scryptCost }, NEVER)
    const repository = await openRepository(storage, { ...context, log: silentLog }, NEVER)
    return { storage, repository }
  })()
  return empty
}

/** A store with an empty repository in it. */
export async function makeStore(): Promise<Storage> {
  const { storage } = await theEmptyOne()
  const copy = openMemoryStorage()
  for (const kind of ['config', 'keys'] as const) {
    for await (const { name } of storage.list(kind, NEVER)) {
      await copy.put({ kind, name }, [await storage.get({ kind, name }, {}, NEVER)], NEVER)
    }
  }
  return copy
}

/** Opened by another process. */
export async function openStore(
  storage: Storage, clock: Clock, dice: Dice): Promise<Repository> {
  const { repository } = await theEmptyOne()
  return reopen(repository, storage, { ...HOST, clock, random: dice.bytes, log: silentLog })
}

/** Every point, each readable, its signature good and its chain whole. */
export async function readPoints(repository: Repository): Promise<readonly RestorePoint[]> {
  const catalog = await readCatalog(repository, NEVER)
  return catalog.points.map((point) => {
    assert.ok(point.state === 'readable', 'a point is damaged')
    const pins = new Set([SIGNER.publicKey.fingerprint])
    const { result, findings } = verifyPoint(catalog, point, pins, repository.id)
    assert.equal(result, 'intact', findings.map(({ sentence }) => sentence).join(' '))
    return point
  })
}

/** The disks of a point as they are stored. */
export async function restore(
  repository: Repository, { disks }: RestorePoint): Promise<ReadonlyMap<string, Uint8Array>> {
  const restored = new Map<string, Uint8Array>()
  for (const disk of disks) {
    await using image = openDiskImage(repository, disk.treeId, disk)
    restored.set(disk.id, await image.read(0, disk.sizeBytes, NEVER))
  }
  return restored
}

/** What runs that were killed left there goes with an operator's `unlock` and `prune`. */
export async function assertNothingLeft(repository: Repository): Promise<void> {
  await repository.unlock(false, NEVER)
  {
    await using lock = await repository.lock('exclusive', NEVER)
    await pruneRepository(repository, lock, THOROUGH, () => {}, lock.lost)
  }
  assert.deepEqual(await Array.fromAsync(repository.storage.list('locks', NEVER)), [])
  const { findings, unreferencedBlobs, duplicateBlobs } =
    await checkRepository(repository, { readData: true }, () => {}, NEVER)
  assert.deepEqual({ findings, unreferencedBlobs, duplicateBlobs },
    { findings: [], unreferencedBlobs: 0, duplicateBlobs: 0 })
}
