/** Disks that we store, read by stock restic. */

import { strict as assert } from 'node:assert'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { runProgram } from '../../src/base/program.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import { systemClock } from '../../src/base/clock.ts'
import { openRawSource } from '../../src/disk/mod.ts'
import {
  beginWrite, checkRepository, DEFAULT_CHUNK_BYTES, dirNode, fileNode, goTime, initRepository,
  openDiskImage, openRepository, readDisk, restoreText, storeDisk, type FileId, type Repository,
} from '../../src/repository/mod.ts'
import { openLocalStorage } from '../../src/storage/mod.ts'

const signal = AbortSignal.timeout(10 * 60_000)
const MACHINE = "web 1's"
const MIB = 1024 * 1024

interface Bench extends AsyncDisposable {
  readonly folder: string
  readonly repository: Repository
  run(script: string, ...args: readonly string[]): Promise<string>
}

async function openBench(t: TestContext): Promise<Bench | undefined> {
  try {
    await runProgram('restic', ['version'], { signal })
  } catch (error) {
    if (!isFault(error, 'program-missing')) throw error
    t.skip('restic is missing')
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
    run: async (script, ...args) => {
      const env = {
        PATH: process.env['PATH'] ?? '', HOME: folder, LC_ALL: 'C',
        RESTIC_REPOSITORY: join(folder, 'repo'), RESTIC_PASSWORD_FILE: join(folder, 'password'),
        RESTIC_CACHE_DIR: join(folder, 'cache'),
      }
      const result = await runProgram('bash', ['-c', script, 'bash', ...args],
        { signal, env, cwd: folder })
      return Buffer.from(result.stdout).toString('utf8')
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** An image with compressible, random, repeated and empty parts, of `sizeBytes`. */
async function writeImage(path: string, sizeBytes: number, seed: number): Promise<void> {
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
async function storePoint(
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
    fileNode('evidence.json', 2, [await session.saveData(Buffer.from('{}'))]),
    fileNode('machine.json', 2, [await session.saveData(Buffer.from('{}'))]),
  ] })
  await session.flush(signal)
  return await session.saveSnapshot({
    time: goTime(systemClock.nowMs()), tree, paths: [`/stillpoint/${sizes.length}`],
    hostname: MACHINE, tags: ['stillpoint', 'grade=crash'],
  }, signal)
}

test('the commands of RESTORE.txt give identical disks, and restic finds no error', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const disks = { vda: join(bench.folder, 'a'), 'vdb.data': join(bench.folder, 'b') }
  await writeImage(disks.vda, 290 * MIB + 512, 1) // two segments, an odd end
  await writeImage(disks['vdb.data'], 10 * MIB, 2)
  const id = await storePoint(bench, disks)
  await bench.run('restic check --read-data')
  const text = await bench.run('restic dump "$1" /RESTORE.txt', id)
  const commands = text.split('\n')
    .filter((line) => /^(set|restic|#| {2}(dd|truncate))/.test(line)).join('\n')
  assert.match(commands, /restic snapshots .*--host 'web 1'\\''s'/)
  const output = await bench.run(`ID="$1"\nset -e\n${commands}`, id)
  assert.ok(output.includes(id.slice(0, 8)), 'the snapshot is listed')
  await bench.run('cmp vda.raw a && cmp vdb.data.raw b')
  const facts = await stat(join(bench.folder, 'vda.raw'))
  assert.ok(facts.blocks * 512 < facts.size * 0.8, 'zeros take no space')
})

test('after restic forgets and prunes, neither finds an error and disks are whole', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const path = join(bench.folder, 'a')
  for (const seed of [1, 2, 3]) {
    await writeImage(path, 30 * MIB, seed)
    await storePoint(bench, { vda: path })
  }
  await bench.run('restic forget --keep-last 1 --prune --max-unused 0')
  await bench.run('restic check --read-data')
  const context = {
    password: new Secret('secret words'), hostname: 'here',
    clock: systemClock, random: systemRandom, log: silentLog,
  }
  await using after = await openRepository(bench.repository.storage, context, signal)
  const report = await checkRepository(after, { readData: true }, () => {}, signal)
  assert.ok(report.isSound, JSON.stringify(report.findings))
  const [kept, ...others] = await after.snapshots(signal)
  assert.ok(kept !== undefined && others.length === 0)
  await after.loadIndex(signal)
  const root = await after.readTree(kept.snapshot.tree, signal)
  const disksNode = root.nodes.find(({ name }) => name === 'disks')
  assert.ok(disksNode?.type === 'dir')
  const disk = (await after.readTree(disksNode.subtree, signal)).nodes[0]
  assert.ok(disk?.type === 'dir')
  const image = new Uint8Array(await readFile(path))
  const geometry = { sizeBytes: image.length, chunkBytes: DEFAULT_CHUNK_BYTES }
  await using source = openDiskImage(after, disk.subtree, geometry)
  assert.deepEqual(await source.read(0, image.length, signal), image)
  const whole = new Uint8Array(image.length)
  for await (const { offset, bytes } of readDisk(after, disk.subtree, geometry, {}, signal)) {
    whole.set(bytes, offset)
  }
  assert.deepEqual(whole, image)
})

test('a run writes one small data pack and one small tree pack at most', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const path = join(bench.folder, 'a')
  await writeImage(path, 200 * MIB, 4)
  await storePoint(bench, { vda: path, vdb: path })
  const sizes = []
  for await (const file of bench.repository.storage.list('data', signal)) sizes.push(file.sizeBytes)
  assert.ok(sizes.length > 2)
  assert.ok(sizes.filter((size) => size < 16 * MIB).length <= 2, sizes.join(' '))
})
