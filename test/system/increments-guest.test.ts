/** Increments of a real guest under load: each boots, with every row that it must have. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { readRestorePoints, type RestorePoint } from '../../src/catalog/mod.ts'
import { checkRows, type RunningGuest } from '../../src/demo/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import { basesOf } from './bare-machine.ts'
import { leftOvers } from './left-overs.ts'
import { backup, newRepository, readyGuest, testFolder, withRepository } from './rig.ts'

const LIMITS = { timeout: 300_000 }
const INCREMENTS = 3
const DISKS = ['disk0', 'disk1'] as const

const rows = (guest: RunningGuest): number => guest.witness.lastAcknowledged('rows')?.id ?? 0

test('three increments of a guest under load each boot with all their rows', LIMITS, async (t) => {
  const guest = await readyGuest(t)
  const repositoryPath = await newRepository(t)
  let base = 'first-backup'
  for (let round = 0; round <= INCREMENTS; round++) {
    const wanted = rows(guest) + 30
    await guest.witness.until('30 rows more', () => rows(guest) >= wanted, t.signal)
    const { pointId, ...summary } = await backup(t, { guest, repositoryPath })
    assert.equal(summary.result.grade, 'filesystem')
    assert.deepEqual(basesOf(summary), DISKS.map((id) => `virtio-${id} ${base}`))
    if (round > 0) assert.ok(summary.bytesRead < summary.sizeBytes / 4, `${summary.bytesRead}`)
    base = pointId
  }

  const folder = await testFolder(t)
  const points = await withRepository(repositoryPath, t, async (repository) => {
    const points = (await readRestorePoints(repository, t.signal))
      .filter((point): point is RestorePoint => point.state === 'readable')
    for (const point of points.slice(1)) {
      await restoreDisks({
        repository, point, folder: join(folder, point.pointId), format: 'qcow2',
      }, () => {}, clock, t.signal)
    }
    return points
  })
  assert.equal(points.length, 1 + INCREMENTS)
  for (const { pointId, evidence } of points.slice(1)) {
    const again = await readyGuest(t, { load: false, disks: DISKS.map((id) => (
      { id, path: join(folder, pointId, `virtio-${id}.qcow2`), format: 'qcow2' })) })
    // `startMs` and `endMs` are of a monotonic clock, `takenAt` is the wall time of `endMs`.
    const endMs = Date.parse(evidence.instant.takenAt)
    const startMs = endMs - (evidence.instant.endMs - evidence.instant.startMs)
    for (const { holds, claim, detail } of checkRows(again.witness.boot, {
      tables: ['rows', 'canary'], witness: guest.witness, claimsFrozen: true,
      captured: { startMs, endMs },
    })) assert.ok(holds, `${claim}: ${detail}`)
    await again.kill()
  }
  assert.deepEqual(await leftOvers(guest, t.signal), [])
})
