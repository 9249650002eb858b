/** Backups and prunes on stores that fail, fill up or are lost, and on hosts that stand still. */

import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import type { FileId, Repository } from '../../src/repository/mod.ts'
import type { Storage } from '../../src/storage/mod.ts'
import { openMemoryStorage, recordingStorage, replay } from '../../src/storage/testing/mod.ts'
import { HostClock, SimulatedClock } from './clocks.ts'
import { TROUBLES, watched } from './trouble.ts'
import {
  assertWhole, backUp, initVault, makeDisk, openVault, pruneVault, signal,
} from './vault.ts'

const limits = { timeout: 300_000 }
const MINUTE = 60_000

interface Scene {
  readonly kept: readonly FileId[]
  /** A fresh copy of the store. */
  copy(): Promise<Storage>
}

/** More than are removed at once. */
const ORPHANS = 20
const REMOVED_AT_ONCE = 8

/** Three points, of which the second is forgotten, and packs that a crashed run left. */
async function makeScene(): Promise<Scene> {
  const storage = recordingStorage(openMemoryStorage())
  await initVault(storage)
  const clock = new SimulatedClock()
  const repository = await openVault(storage, clock)
  const points: FileId[] = []
  for (const seed of [1, 2, 3]) {
    const plan = { disks: [makeDisk(seed, 32), makeDisk(60, 16)], threads: false }
    points.push(await clock.runUntil(backUp(repository, plan), 300))
  }
  const forgotten = points.splice(1, 1)
  for (const name of forgotten) await storage.remove({ kind: 'snapshots', name }, signal)
  for (let n = 0; n < ORPHANS; n++) {
    const name = n.toString(16).padStart(64, '0')
    await storage.put({ kind: 'data', name }, [new Uint8Array(n)], signal)
  }
  return { kept: points, copy: () => replay(storage.operations) }
}

const WORKS = {
  backup: (repository: Repository) =>
    backUp(repository, { disks: [makeDisk(4, 32), makeDisk(60, 16)], threads: false }),
  prune: (repository: Repository) => pruneVault(repository),
} as const

/** Operations that opening takes, which is not what is tried here. */
const OPENING = 3

for (const [name, work] of Object.entries(WORKS)) {
  for (const [trouble, begin] of Object.entries(TROUBLES)) {
    test(`${name}, ${trouble}: one clear fault, nothing lost`, limits, async () => {
      const scene = await makeScene()
      const outcomes = { done: 0, failed: 0 }
      for (let at = OPENING, isPast = false; !isPast; at++) {
        const storage = await scene.copy()
        let count = 0
        const troubled = watched(begin(storage, at), () => { count++ })
        const clock = new SimulatedClock()
        const repository = await openVault(troubled, clock)
        try {
          await clock.runUntil<unknown>(work(repository), 300)
          outcomes.done++
        } catch (error) {
          const isClear = isFault(error, trouble.includes('full') ? 'no-space' : 'storage-failed')
          if (!isClear) throw error
          outcomes.failed++
        }
        isPast = count <= at
        await assertWhole(storage, scene.kept, `${name}, ${trouble} at operation ${at}`)
      }
      assert.ok(outcomes.failed > 10, JSON.stringify(outcomes))
    })
  }
}

test('a host that stood still for too long does no harm when it goes on', limits, async () => {
  const scene = await makeScene()
  const outcomes = { 'lock-lost': 0, 'done': 0 }
  for (const [name, work] of Object.entries(WORKS)) {
    for (let at = OPENING, isPast = false; !isPast; at++) {
      const storage = recordingStorage(await scene.copy())
      const common = new SimulatedClock()
      const host = new HostClock(common)
      let changesBefore = Infinity
      isPast = true
      const standing = watched(storage, (n) => {
        if (n !== at) return
        isPast = false
        host.suspend()
        common.advance(31 * MINUTE)
        host.resume()
        changesBefore = storage.operations.length
      })
      const running = common.runUntil<unknown>(work(await openVault(standing, host)), 300)
      const error = await running.then(() => undefined, (error: unknown) => error)
      assert.ok(error === undefined || isFault(error, 'lock-lost'), String(error))
      outcomes[error === undefined ? 'done' : 'lock-lost']++
      // What was under way may still happen; after it nothing may count on the lock.
      const later = error === undefined ? [] : storage.operations.slice(changesBefore + 1)
      const stored = later.filter(({ type, file }) => type === 'put' && file.kind !== 'data')
      const removed = later.filter(({ type, file }) => type === 'remove' && file.kind === 'data')
      assert.deepEqual(stored, [], `${name}, standing at operation ${at}`)
      assert.ok(removed.length < REMOVED_AT_ONCE, `${name}, standing at operation ${at}`)
      await assertWhole(storage, scene.kept, `${name}, standing at operation ${at}`)
    }
  }
  assert.ok(outcomes['lock-lost'] > 20 && outcomes.done > 5, JSON.stringify(outcomes))
})

test('a prune whose lock somebody removed removes nothing', limits, async () => {
  const scene = await makeScene()
  const storage = recordingStorage(await scene.copy())
  const common = new SimulatedClock()
  const meddled = watched(storage, async (_n, operation) => {
    if (operation !== 'get') return
    for await (const { name } of storage.list('locks', signal)) {
      await storage.remove({ kind: 'locks', name }, signal)
    }
  })
  const pruning = common.runUntil(pruneVault(await openVault(meddled, common)), 300)
  await assert.rejects(pruning, { code: 'lock-lost' })
  const removed = storage.operations.filter(({ type, file }) =>
    type === 'remove' && file.kind !== 'locks')
  assert.deepEqual(removed, [])
  await assertWhole(storage, scene.kept, 'after a lock was removed')
})

test('what a snapshot needs is missing: the prune removes nothing and says so', async () => {
  const scene = await makeScene()
  const listing = await scene.copy()
  const clock = new SimulatedClock()
  const outcomes = { refused: 0, fine: 0 }
  for (const kind of ['data', 'index', 'snapshots'] as const) {
    for (const { name } of await Array.fromAsync(listing.list(kind, signal))) {
      if (kind === 'data' && name.startsWith('0'.repeat(60))) continue
      for (const damage of ['gone', 'cut short'] as const) {
        const storage = recordingStorage(await scene.copy())
        const bytes = await storage.get({ kind, name }, {}, signal)
        await storage.remove({ kind, name }, signal)
        if (damage === 'cut short') {
          await storage.put({ kind, name }, [bytes.subarray(0, -1)], signal)
        }
        // A snapshot that is gone was forgotten.
        if (kind === 'snapshots' && damage === 'gone') continue
        const from = storage.operations.length
        const error = await clock.runUntil(pruneVault(await openVault(storage, clock)), 300)
          .then(() => undefined, (error: unknown) => error)
        if (error === undefined) outcomes.fine++
        else {
          assert.ok(isFault(error, 'repository-damaged'), `${kind} ${damage}`)
          const changes = storage.operations.slice(from)
          assert.deepEqual(changes.filter(({ file }) => file.kind !== 'locks'), [])
          outcomes.refused++
        }
      }
    }
  }
  // Packs that only the forgotten point needed may be missing.
  assert.ok(outcomes.refused > 20 && outcomes.fine > 0, JSON.stringify(outcomes))
})
