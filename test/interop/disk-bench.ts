/** Disks that we store for a peer to read: a repository in a folder, images, restore points. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { runProgram } from '../../src/base/program.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import { systemClock } from '../../src/base/clock.ts'
import { openRawSource } from '../../src/disk/mod.ts'
import { memorySink } from '../../src/disk/testing/mod.ts'
import {
  beginWrite, checkRepository, copyDisk, DEFAULT_CHUNK_BYTES, dirNode, fileNode, goTime,
  initRepository, openDiskImage, openRepository, restoreText, storeDisk,
  type BlobId, type FileId, type Repository,
} from '../../src/repository/mod.ts'
import { openLocalStorage } from '../../src/storage/mod.ts'

export const signal = AbortSignal.timeout(10 * 60_000)
const MACHINE = "web 1's"
export const MIB = 1024 * 1024

export interface Bench extends AsyncDisposable {
  readonly folder: string
  readonly repository: Repository
  /** The repository as it is now. */
  reopen(): Promise<Repository>
  /** Runs a script of bash in the folder, told of the repository as restic and rustic are. */
  run(script: string, ...args: readonly string[]): Promise<string>
}

/** Undefined, and the test is skipped, where the peer is missing. */
export async function openBench(t: TestContext, peer: string): Promise<Bench | undefined> {
  try {
    await runProgram(peer, ['version'], { signal })
  } catch (error) {
    if (!isFault(error, 'program-missing')) throw error
    t.skip(`${peer} is missing`)
    return undefined
  }
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-interop-'))
  const context = {
    password: new Secret('secret words'), hostname: 'here', username: 'us',
    clock: systemClock, random: systemRandom, log: silentLog,
  }
  const storage = openLocalStorage(join(folder, 'repo'))
  await initRepository(storage, context, signal)
  await writeFile(join(folder, 'password'), 'secret words\n')
  return {
    folder,
    repository: await openRepository(storage, context, signal),
    reopen: () => openRepository(storage, context, signal),
    run: async (script, ...args) => {
      const env = {
        PATH: process.env['PATH'] ?? '', HOME: folder, LC_ALL: 'C',
        RESTIC_REPOSITORY: join(folder, 'repo'), RESTIC_PASSWORD_FILE: join(folder, 'password'),
        RESTIC_CACHE_DIR: join(folder, 'cache'),
        RUSTIC_REPOSITORY: join(folder, 'repo'), RUSTIC_PASSWORD_FILE: join(folder, 'password'),
        RUSTIC_CACHE_DIR: join(folder, 'cache'),
      }
      const result = await runProgram('bash', ['-c', script, 'bash', ...args],
        { signal, env, cwd: folder })
      return Buffer.from(result.stdout).toString('utf8')
    },
    [Symbol.asyncDispose]: async () => {
      await storage[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** An image with compressible, random, repeated and empty parts, of `sizeBytes`. */
export async function writeImage(path: string, sizeBytes: number, seed: number): Promise<void> {
  const image = new Uint8Array(sizeBytes)
  const noise = seededRandom(seed)(3 * MIB)
  for (let at = 0, n = 0; at < sizeBytes; at += 2 * MIB, n++) {
    const room = Math.min(2 * MIB, sizeBytes - at)
    const kind = (n * 7 + seed) % 5
    if (kind === 0) image.set(noise.subarray(n, n + room), at)
    if (kind === 1) image.set(noise.subarray(n, n + room).map((byte) => byte & 7), at)
    if (kind === 2) image.set(noise.subarray(0, room), at)
  }
  image[sizeBytes - 1] = 1
  await writeFile(path, image)
}

/** Stores `disks` as one restore point, as a backup does. */
export async function storePoint(
  bench: Bench, disks: Readonly<Record<string, string>>): Promise<FileId> {
  const { repository } = bench
  await using lock = await repository.lock('shared', signal)
  await using session = await beginWrite(repository, {}, lock.lost)
  const nodes = []
  const sizes = []
  for (const [id, path] of Object.entries(disks)) {
    await using source = await openRawSource(path, signal)
    const options = { chunkBytes: DEFAULT_CHUNK_BYTES }
    const { treeId, sizeBytes } = await storeDisk(session, source, options, () => {}, signal)
    nodes.push(dirNode(id, treeId))
    sizes.push({ id, sizeBytes })
  }
  const text = Buffer.from(restoreText({ machine: MACHINE, disks: sizes }))
  const tree = await session.saveTree({ nodes: [
    fileNode('RESTORE.txt', text.length, [await session.saveData(text)]),
    dirNode('disks', await session.saveTree({ nodes })),
    fileNode('evidence.dsse.json', 2, [await session.saveData(Buffer.from('{}'))]),
    fileNode('machine.json', 2, [await session.saveData(Buffer.from('{}'))]),
  ] })
  await session.flush(signal)
  return await session.saveSnapshot({
    time: goTime(systemClock.nowMs()), tree, paths: [`/stillpoint/${sizes.length}`],
    hostname: MACHINE, tags: ['stillpoint', 'grade=crash'],
  }, signal)
}

/** Three points of one disk, of which the last is that of the image at the path it gives. */
export async function storeThreePoints(bench: Bench): Promise<string> {
  const path = join(bench.folder, 'a')
  for (const seed of [1, 2, 3]) {
    await writeImage(path, 30 * MIB, seed)
    await storePoint(bench, { vda: path })
  }
  return path
}

/** Sees that the only point in the repository is of this image, and everything whole. */
export async function assertHoldsOnly(repository: Repository, path: string): Promise<void> {
  const tree = await onlyDisk(repository)
  const image = new Uint8Array(await readFile(path))
  const geometry = { sizeBytes: image.length, chunkBytes: DEFAULT_CHUNK_BYTES }
  await using source = openDiskImage(repository, tree, geometry)
  assert.deepEqual(await source.read(0, image.length, signal), image)
  const whole = new Uint8Array(image.length)
  await copyDisk(repository, tree, geometry, memorySink(whole), {}, () => {}, signal)
  assert.deepEqual(whole, image)
}

/** The disk of the only point in the repository, of which everything was read and found whole. */
async function onlyDisk(repository: Repository): Promise<BlobId> {
  const report = await checkRepository(repository, { readData: true }, () => {}, signal)
  assert.ok(report.isSound, JSON.stringify(report.findings))
  const [kept, ...others] = await repository.snapshots(signal)
  assert.ok(kept !== undefined && others.length === 0)
  await repository.loadIndex(signal)
  const root = await repository.readTree(kept.snapshot.tree, signal)
  const disks = root.nodes.find(({ name }) => name === 'disks')
  assert.ok(disks?.type === 'dir')
  const disk = (await repository.readTree(disks.subtree, signal)).nodes[0]
  assert.ok(disk?.type === 'dir')
  return disk.subtree
}
