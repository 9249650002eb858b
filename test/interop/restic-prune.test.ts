/** What our forget, our prune and our crashes leave, judged by stock restic. */

import { strict as assert } from 'node:assert'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import { runProgram } from '../../src/base/program.ts'
import type { FileId } from '../../src/repository/mod.ts'
import { FILE_KINDS, openLocalStorage, type Storage } from '../../src/storage/mod.ts'
import {
  crashStates, faultyStorage, openMemoryStorage, recordingStorage, replay,
} from '../../src/storage/testing/mod.ts'
import { SimulatedClock, THREADS_MS_PER_TURN } from '../simulation/clocks.ts'
import {
  backUp, initVault, makeDisk, openVault, PASSWORD, pruneVault, SCRYPT, signal, THOROUGH,
  verifyPoints,
} from '../simulation/vault.ts'

const limits = { timeout: 300_000 }

interface Bench extends AsyncDisposable {
  /** Writes the files of `storage` into a new folder. */
  unload(storage: Storage): Promise<string>
  /** What restic prints; fails if restic does. */
  restic(folder: string, ...args: readonly string[]): Promise<string>
}

async function openBench(t: TestContext): Promise<Bench | undefined> {
  try {
    await runProgram('restic', ['version'], { signal })
  } catch (error) {
    if (!isFault(error, 'program-missing')) throw error
    t.skip('restic is missing')
    return undefined
  }
  const root = await mkdtemp(join(tmpdir(), 'stillpoint-prune-'))
  await writeFile(join(root, 'password'), PASSWORD)
  return {
    unload: async (storage) => {
      const folder = await mkdtemp(join(root, 'repo-'))
      await using local = openLocalStorage(folder)
      await local.create(signal)
      for (const kind of FILE_KINDS) {
        for await (const { name } of storage.list(kind, signal)) {
          await local.put({ kind, name }, [await storage.get({ kind, name }, {}, signal)], signal)
        }
      }
      return folder
    },
    restic: async (folder, ...args) => {
      const env = {
        PATH: process.env['PATH'] ?? '', HOME: root, LC_ALL: 'C', TZ: 'UTC',
        RESTIC_REPOSITORY: folder, RESTIC_PASSWORD_FILE: join(root, 'password'),
      }
      const result = await runProgram('restic', ['--no-cache', ...args], { signal, env })
      return Buffer.from(result.stdout).toString('utf8')
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  }
}

test('restic finds nothing but unreferenced packs after a crash of ours', limits, async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const storage = recordingStorage(
    faultyStorage(openMemoryStorage(), { seed: 2, maxDelayTurns: 6 }))
  await initVault(storage, SCRYPT.restic)
  const clock = new SimulatedClock()
  const repository = await openVault(storage, clock)
  const points: FileId[] = []
  for (const seed of [1, 2, 3]) {
    const disks = [makeDisk(seed, 64), makeDisk(50, 32)]
    points.push(await clock.runUntil(
      backUp(repository, { disks, threads: true }), THREADS_MS_PER_TURN))
  }
  const from = storage.operations.findIndex(({ file }) => file.kind === 'snapshots')
  await storage.remove({ kind: 'snapshots', name: points[1] ?? '' }, signal)
  await clock.runUntil(pruneVault(await openVault(storage, clock)))
  const states = [...crashStates(storage.operations, from)]
  assert.ok(states.length > 60, `${states.length} states`)
  // A sample: restic takes a second for each.
  for (let at = 0; at < states.length; at += Math.ceil(states.length / 12)) {
    const folder = await bench.unload(await replay(states[at] ?? []))
    const told = await bench.restic(folder, 'check', '--no-lock', '--read-data')
    assert.match(told, /no errors were found/, `state ${at} of ${states.length}`)
  }
})

test('restic finds nothing at all after our forget and prune', limits, async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const memory = openMemoryStorage()
  await initVault(memory, SCRYPT.restic)
  await using storage = openLocalStorage(await bench.unload(memory))
  const clock = new SimulatedClock()
  const repository = await openVault(storage, clock)
  const points: FileId[] = []
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const disks = [makeDisk(seed, 64), makeDisk(50 + (seed >> 1), 32)]
    points.push(await clock.runUntil(
      backUp(repository, { disks, threads: true }), THREADS_MS_PER_TURN))
  }
  for (const name of points.splice(1, 3)) await storage.remove({ kind: 'snapshots', name }, signal)
  const { packBytes: _, ...options } = THOROUGH
  await clock.runUntil(pruneVault(await openVault(storage, clock), options))
  const told = await bench.restic(storage.location, 'check', '--read-data')
  assert.match(told, /no errors were found/)
  assert.doesNotMatch(told, /additional files|not referenced|duplicate/)
  assert.deepEqual(await verifyPoints(storage), new Set(points))
  // restic finds nothing left to prune either.
  const plan = await bench.restic(storage.location, 'prune', '--dry-run', '--max-unused', '0')
  assert.match(plan, /to repack: +0 blobs/)
  assert.match(plan, /to delete: +0 blobs/)
})
