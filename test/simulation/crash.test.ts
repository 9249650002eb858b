/** Backups, forgets and prunes that are killed at any instant. */

import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { FileId } from '../../src/repository/mod.ts'
import type { Storage } from '../../src/storage/mod.ts'
import {
  crashStates, faultyStorage, openMemoryStorage, recordingStorage, replay,
} from '../../src/storage/testing/mod.ts'
import { SimulatedClock, THREADS_MS_PER_TURN } from './clocks.ts'
import {
  assertWhole, backUp, initVault, makeDisk, openVault, pruneVault, signal, verifyPoints,
} from './vault.ts'

const limits = { timeout: 300_000 }

interface History {
  readonly storage: ReturnType<typeof recordingStorage>
  readonly points: readonly FileId[]
}

/** A vault with points of `seeds`; its storage lets operations overtake one another. */
async function makeHistory(seeds: readonly number[]): Promise<History> {
  const storage = recordingStorage(
    faultyStorage(openMemoryStorage(), { seed: 1, maxDelayTurns: 6 }))
  await initVault(storage)
  const clock = new SimulatedClock()
  const repository = await openVault(storage, clock)
  const points: FileId[] = []
  for (const seed of seeds) {
    // The second disk is that of another point too: its trees are shared, as its data is.
    const plan = { disks: [makeDisk(seed, 64), makeDisk(50 + (seed >> 1), 32)], threads: false }
    points.push(await clock.runUntil(backUp(repository, plan), THREADS_MS_PER_TURN))
  }
  return { storage, points }
}

/** Does `work` in a new process, as it were, and looks at each state that a crash may leave. */
async function crashAnywhere(
  { storage, points }: History, what: string, work: (storage: Storage) => Promise<void>,
): Promise<number> {
  const from = storage.operations.length
  await work(storage)
  let states = 0
  for (const operations of crashStates(storage.operations, from)) {
    await assertWhole(
      await replay(operations), points, `${what}, state ${states}, ${operations.length} changes`)
    states++
  }
  return states
}

test('a backup killed at any instant costs no earlier point', limits, async () => {
  const history = await makeHistory([1, 2])
  const states = await crashAnywhere(history, 'backup', async (storage) => {
    const clock = new SimulatedClock()
    const repository = await openVault(storage, clock)
    const plan = { disks: [makeDisk(2), makeDisk(3, 160)], threads: true }
    await clock.runUntil(backUp(repository, plan), THREADS_MS_PER_TURN)
  })
  assert.ok(states >= 9, `${states} states`)
})

test('a prune killed at any instant costs no point, the next one finishes', limits, async () => {
  const { storage, points } = await makeHistory([1, 2, 3, 4])
  // Half of them are forgotten, so that packs are removed, packs are copied from, and packs stay.
  const forgotten = points.filter((_, at) => at % 2 === 1)
  for (const name of forgotten) await storage.remove({ kind: 'snapshots', name }, signal)
  const kept = points.filter((_, at) => at % 2 === 0)
  // What a crashed backup left.
  await storage.put({ kind: 'data', name: 'a'.repeat(64) }, [new Uint8Array(100)], signal)
  const states = await crashAnywhere({ storage, points: kept }, 'prune', async (storage) => {
    const clock = new SimulatedClock()
    await clock.runUntil(pruneVault(await openVault(storage, clock)))
  })
  assert.ok(states >= 60, `${states} states`)
  assert.deepEqual(await verifyPoints(storage), new Set(kept))
  const removed = storage.operations.filter(({ type, file }) =>
    type === 'remove' && file.kind === 'data')
  assert.ok(removed.length >= 6, 'packs were removed')
})

test('a prune that follows killed prunes finishes all the same', limits, async () => {
  const { storage, points } = await makeHistory([1, 2, 3, 4])
  for (const name of points.slice(0, 2)) await storage.remove({ kind: 'snapshots', name }, signal)
  const kept = points.slice(2)
  let current: Storage = storage
  // Each prune is killed a little later than the one before; its leftovers meet the next one.
  for (let changes = 2; changes < 24; changes += 3) {
    const recording = recordingStorage(current)
    const clock = new SimulatedClock()
    const repository = await openVault(recording, clock)
    await repository.unlock(true, signal)
    const before = recording.operations.length
    const all = await dumpOf(current)
    await clock.runUntil(pruneVault(repository))
    current = await replay([...all, ...recording.operations.slice(before, before + changes)])
    assert.deepEqual(await verifyPoints(current), new Set(kept))
  }
  await assertWhole(current, kept, 'after many killed prunes')
})

/** The present files, as the changes that would make them. */
async function dumpOf(storage: Storage): Promise<Parameters<typeof replay>[0]> {
  const operations = []
  for (const kind of ['config', 'keys', 'locks', 'snapshots', 'index', 'data'] as const) {
    for await (const { name } of storage.list(kind, signal)) {
      const bytes = await storage.get({ kind, name }, {}, signal)
      operations.push({ type: 'put', file: { kind, name }, bytes, begunAfter: 0 } as const)
    }
  }
  return operations
}
