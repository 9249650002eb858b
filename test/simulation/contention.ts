/**
 * Two hosts that back up and one that forgets and prunes, all at once, on a store that fails, by
 * one seed: hosts lose their connection for good, and are suspended while an operator, who takes
 * them for dead, removes their stale locks.
 */

import { isFault } from '../../src/base/fault.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { FileId, Repository } from '../../src/repository/mod.ts'
import type { Storage } from '../../src/storage/mod.ts'
import { faultyStorage, openMemoryStorage, type FaultPlan } from '../../src/storage/testing/mod.ts'
import { HostClock, settle, SimulatedClock } from './clocks.ts'
import { watched } from './trouble.ts'
import {
  assertWhole, backUp, initVault, makeDisk, openVault, pruneVault, signal,
} from './vault.ts'

const MINUTE = 60_000

/** What happened to the works of the hosts. */
export interface Outcome {
  readonly backups: number
  readonly prunes: number
  readonly locked: number
  readonly lost: number
  readonly failed: number
}

type Tally = { -readonly [K in keyof Outcome]: Outcome[K] }

/** Whole numbers from 0 to just below `below`, one stream by seed. */
type Dice = (below: number) => number

interface Sea {
  readonly store: Storage
  readonly clock: SimulatedClock
  readonly dice: Dice
  readonly tally: Tally
  /** Points that were stored, and may not go unless they are forgotten. */
  readonly points: Set<FileId>
}

/** Runs one history; throws where anything was lost or is not whole at its end. */
export async function simulateContention(seed: number): Promise<Outcome> {
  const sea: Sea = {
    store: openMemoryStorage(), clock: new SimulatedClock(), dice: diceOf(seed),
    tally: { backups: 0, prunes: 0, locked: 0, lost: 0, failed: 0 }, points: new Set(),
  }
  await initVault(sea.store)
  const first = await openVault(sea.store, sea.clock, 'first')
  for (const disk of [1, 2]) {
    const plan = { disks: [makeDisk(disk, 24)], threads: false }
    sea.points.add(await sea.clock.runUntil(backUp(first, plan), 300))
  }
  const a = await makeHost(sea, 'a')
  const b = await makeHost(sea, 'b')
  const p = await makeHost(sea, 'p')
  const operator = await openVault(sea.store, sea.clock, 'operator')
  await sea.clock.runUntil(Promise.all([
    live(a, operator, (repository) => backupWork(a, repository, seed * 10)),
    live(b, operator, (repository) => backupWork(b, repository, seed * 10 + 5)),
    live(p, operator, (repository) => pruneWork(p, repository)),
  ]), 20)
  await assertWhole(sea.store, sea.points, `contention, seed ${seed}`)
  return sea.tally
}

interface Host {
  readonly sea: Sea
  readonly clock: HostClock
  /** The store as this host sees it. */
  readonly view: { storage: Storage }
  /** One for each of its works, as each would be a process of its own. */
  readonly repositories: readonly Repository[]
}

/** Opened beforehand: opening takes turns of real time, and a seed shall tell all. */
async function makeHost(sea: Sea, name: string): Promise<Host> {
  const clock = new HostClock(sea.clock)
  const view = { storage: sea.store }
  const storage: Storage = {
    location: name,
    create: (signal) => view.storage.create(signal),
    put: (file, parts, signal) => view.storage.put(file, parts, signal),
    get: (file, options, signal) => view.storage.get(file, options, signal),
    list: (kind, signal) => view.storage.list(kind, signal),
    remove: (file, signal) => view.storage.remove(file, signal),
    [Symbol.asyncDispose]: async () => {},
  }
  const repositories: Repository[] = []
  for (let works = 2 + sea.dice(3); works > 0; works--) {
    repositories.push(await openVault(storage, clock, name))
  }
  return { sea, clock, view, repositories }
}

/** A host's life: its works one after the other, on a bad connection, perhaps suspended in one. */
async function live(
  { sea, clock, view, repositories }: Host, operator: Repository,
  work: (repository: Repository) => Promise<void>,
): Promise<void> {
  const { dice } = sea
  const plan: FaultPlan = {
    seed: dice(2 ** 31), maxDelayTurns: 1 + dice(5),
    errorChance: dice(3) === 0 ? dice(30) / 1000 : 0,
    unknownOutcomeChance: dice(3) === 0 ? dice(30) / 1000 : 0,
    ...(dice(8) === 0 ? { lostAfter: 4 + dice(60) } : {}),
  }
  const suspendAt = dice(3) === 0 ? dice(60) : Infinity
  view.storage = watched(faultyStorage(sea.store, plan), async (n) => {
    if (n === suspendAt) void suspend(sea, clock, operator)
    await clock.untilRunning()
  }, () => clock.untilRunning())
  for (const repository of repositories) {
    await sea.clock.sleep(dice(1500), signal)
    try {
      await work(repository)
    } catch (error) {
      if (isFault(error, 'locked')) sea.tally.locked++
      else if (isFault(error, 'lock-lost')) sea.tally.lost++
      else if (isFault(error, 'storage-failed')) sea.tally.failed++
      else throw error
    }
  }
}

/** Long enough for its locks to be stale; then an operator unlocks, and others go on meanwhile. */
async function suspend(
  { clock, dice }: Sea, host: HostClock, operator: Repository): Promise<void> {
  host.suspend()
  for (let minute = 0; minute < 31; minute++) {
    clock.advance(MINUTE)
    await settle(4)
  }
  await operator.unlock(false, signal)
  await settle(dice(300))
  host.resume()
}

async function backupWork(
  { sea, clock }: Host, repository: Repository, seed: number): Promise<void> {
  // The index as it is before the lock is held may name packs that are pruned before it is.
  if (sea.dice(2) === 0) {
    await repository.loadIndex(signal)
    await clock.sleep(sea.dice(800), signal)
  }
  const disks = [makeDisk(seed % 7, 24), makeDisk(seed + sea.dice(5), 16)]
  sea.points.add(await backUp(repository, { disks, threads: false }))
  sea.tally.backups++
}

async function pruneWork({ sea }: Host, repository: Repository): Promise<void> {
  {
    await using lock = await repository.lock('exclusive', signal)
    const [oldest] = await repository.snapshots(lock.lost)
    if (oldest !== undefined && sea.points.size > 1) {
      await lock.confirm(signal)
      sea.points.delete(oldest.id)
      await repository.storage.remove({ kind: 'snapshots', name: oldest.id }, lock.lost)
    }
  }
  await pruneVault(repository)
  sea.tally.prunes++
}

function diceOf(seed: number): Dice {
  const random = seededRandom(seed)
  return (below) => (new Uint32Array(random(4).slice().buffer)[0] ?? 0) % below
}
