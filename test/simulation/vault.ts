/**
 * Small repositories for simulations: clients that back disks up, and a judge who says whether
 * what is left after a crash is whole. Each snapshot says in a tag what its disks must hold.
 */

import { strict as assert } from 'node:assert'
import { createHash } from 'node:crypto'
import type { Clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import { memorySource } from '../../src/disk/testing/mod.ts'
import {
  beginWrite, checkRepository, dirNode, fileNode, goTime, initRepository, openDiskImage,
  openRepository, pruneRepository, storeDisk, type BlobId, type CheckReport, type FileId,
  type PruneOptions, type Repository, type TreeNode, type WriteSession,
} from '../../src/repository/mod.ts'
import type { Storage } from '../../src/storage/mod.ts'
import { SimulatedClock } from './clocks.ts'

export const signal = new AbortController().signal
export const PASSWORD = 'correct horse'
const CONTENT_TAG = 'content='
const DISK_SIZES = { chunkBytes: 4096, segmentBytes: 32 * 1024 }
const SEGMENTS_PER_GROUP = 64

/** As cheap as restic still opens it, and as cheap as it gets. */
export const SCRYPT = { restic: { N: 1024, r: 8, p: 1 }, ours: { N: 2, r: 1, p: 1 } } as const

export async function initVault(
  storage: Storage, scryptCost: typeof SCRYPT[keyof typeof SCRYPT] = SCRYPT.ours): Promise<void> {
  await initRepository(storage, {
    password: new Secret(PASSWORD), hostname: 'sim', username: 'sim', clock: new SimulatedClock(),
    random: systemRandom, scryptCost,
  }, signal)
}

export async function openVault(
  storage: Storage, clock: Clock = new SimulatedClock(), hostname = 'sim'): Promise<Repository> {
  return openRepository(storage, {
    password: new Secret(PASSWORD), hostname, username: 'sim', clock, random: systemRandom,
    log: silentLog,
  }, signal)
}

/** A disk of `kib` KiB: what `seed` says, with parts that all seeds share, and holes. */
export function makeDisk(seed: number, kib = 96): Uint8Array<ArrayBuffer> {
  const disk = new Uint8Array(kib * 1024 + 512)
  const own = seededRandom(seed)(disk.length)
  const shared = seededRandom(99)(disk.length)
  for (let at = 0, chunk = 0; at < disk.length; at += 4096, chunk++) {
    const from = (chunk * 7 + seed) % 4 === 0 ? own : chunk % 5 === 0 ? undefined : shared
    if (from !== undefined) disk.set(from.subarray(at, at + 4096), at)
  }
  return disk
}

export interface BackupPlan {
  readonly disks: readonly Uint8Array<ArrayBuffer>[]
  /** With worker threads, as real backups are; without them it is quick and in one order. */
  readonly threads: boolean
  readonly hostname?: string
  readonly timeMs?: number
  readonly tags?: readonly string[]
}

/** Stores a restore point of `disks` as a backup does; each disk is flushed on its own. */
export async function backUp(repository: Repository, plan: BackupPlan): Promise<FileId> {
  await using lock = await repository.lock('shared', signal)
  await using session = await beginWrite(repository, { workers: 1, lock }, lock.lost)
  const nodes: TreeNode[] = []
  for (const [n, disk] of plan.disks.entries()) {
    const treeId = plan.threads
      ? (await storeDisk(session, memorySource(disk), DISK_SIZES, () => {}, lock.lost)).treeId
      : await storeHere(session, disk)
    nodes.push(dirNode(`vd${n}`, treeId))
    await session.flush(lock.lost)
  }
  const folder = await session.saveTree({ nodes })
  const tree = await session.saveTree({ nodes: [dirNode('disks', folder)] })
  await session.flush(lock.lost)
  return await session.saveSnapshot({
    time: goTime(plan.timeMs ?? repository.clock.nowMs()), tree, paths: ['/stillpoint'],
    hostname: plan.hostname ?? 'web1',
    tags: ['stillpoint', CONTENT_TAG + digestOf(plan.disks), ...plan.tags ?? []],
  }, lock.lost)
}

/** The tree of a disk, made on this thread. */
async function storeHere(session: WriteSession, disk: Uint8Array): Promise<BlobId> {
  const segments: TreeNode[] = []
  for (let at = 0; at < disk.length; at += DISK_SIZES.segmentBytes) {
    const segment = disk.subarray(at, at + DISK_SIZES.segmentBytes)
    const ids: BlobId[] = []
    for (let from = 0; from < segment.length; from += DISK_SIZES.chunkBytes) {
      ids.push(await session.saveData(segment.slice(from, from + DISK_SIZES.chunkBytes)))
    }
    const folder = await session.saveTree({ nodes: [fileNode('seg', segment.length, ids)] })
    segments.push(dirNode(String(segments.length).padStart(2, '0'), folder))
  }
  assert.ok(segments.length <= SEGMENTS_PER_GROUP)
  return session.saveTree({ nodes: [dirNode('0000', await session.saveTree({ nodes: segments }))] })
}

function digestOf(disks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const disk of disks) hash.update(`${disk.length} `).update(disk)
  return hash.digest('hex')
}

/** Reads every disk of every point byte by byte; returns the ids of the snapshots. */
export async function verifyPoints(storage: Storage): Promise<ReadonlySet<FileId>> {
  await using repository = await openVault(storage)
  const snapshots = await repository.snapshots(signal)
  await repository.loadIndex(signal)
  for (const { id, snapshot } of snapshots) {
    const content = snapshot.tags?.find((tag) => tag.startsWith(CONTENT_TAG))
    if (content === undefined) continue
    const disks: Uint8Array[] = []
    for (const node of await folderAt(repository, snapshot.tree, 'disks')) {
      assert.ok(node.type === 'dir')
      disks.push(await readDisk(repository, node.subtree))
    }
    assert.equal(CONTENT_TAG + digestOf(disks), content, `snapshot ${id} holds other disks`)
  }
  return new Set(snapshots.map(({ id }) => id))
}

async function folderAt(
  repository: Repository, tree: BlobId, name: string): Promise<readonly TreeNode[]> {
  const node = (await repository.readTree(tree, signal)).nodes.find((node) => node.name === name)
  assert.ok(node?.type === 'dir')
  return (await repository.readTree(node.subtree, signal)).nodes
}

async function readDisk(repository: Repository, treeId: BlobId): Promise<Uint8Array> {
  let sizeBytes = 0
  for (const node of await folderAt(repository, treeId, '0000')) {
    assert.ok(node.type === 'dir')
    const [seg] = (await repository.readTree(node.subtree, signal)).nodes
    assert.ok(seg?.type === 'file')
    sizeBytes += seg.size
  }
  await using image = openDiskImage(repository, treeId, { ...DISK_SIZES, sizeBytes })
  return await image.read(0, sizeBytes, signal)
}

/** Every byte checked. */
export async function checkVault(storage: Storage): Promise<CheckReport> {
  await using repository = await openVault(storage)
  return await checkRepository(repository, { readData: true }, () => {}, signal)
}

/** Prunes with nothing unused left, packs finished early so that there are several. */
export const THOROUGH: PruneOptions = {
  maxUnused: { kind: 'share', share: 0 }, dryRun: false, packBytes: 32 * 1024,
}

/** Prunes under an exclusive lock of its own. */
export async function pruneVault(
  repository: Repository, options: PruneOptions = THOROUGH): Promise<void> {
  await using lock = await repository.lock('exclusive', signal)
  await pruneRepository(repository, lock, options, () => {}, lock.lost)
}

/**
 * Asserts what must hold after any crash: the points of `expected` are there; every point that is
 * there is whole; a check finds nothing but packs that no index names; and once an operator has
 * removed the dead client's lock, a prune leaves nothing to find at all.
 */
export async function assertWhole(
  storage: Storage, expected: Iterable<FileId>, what: string): Promise<void> {
  try {
    const present = await verifyPoints(storage)
    for (const id of expected) assert.ok(present.has(id), `snapshot ${id} is gone`)
    const report = await checkVault(storage)
    assert.deepEqual(report.findings.filter(({ code }) => code !== 'pack-orphan'), [])
    const clock = new SimulatedClock()
    const repository = await openVault(storage, clock)
    await repository.unlock(true, signal)
    await clock.runUntil(pruneVault(repository), 300)
    assert.deepEqual(await verifyPoints(storage), present)
    const { findings, unreferencedBlobs, duplicateBlobs } = await checkVault(storage)
    assert.deepEqual({ findings, unreferencedBlobs, duplicateBlobs },
      { findings: [], unreferencedBlobs: 0, duplicateBlobs: 0 })
  } catch (cause) {
    throw new Error(`not whole: ${what}`, { cause })
  }
}
