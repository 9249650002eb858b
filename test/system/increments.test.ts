/** Increments of a real QEMU's disks: each is restored and held against an independent copy. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertRestores, assertSame, BareMachine, basesOf } from './bare-machine.ts'
import { restoreByText } from './restic.ts'
import { newRepository, testFolder, withRepository } from './rig.ts'

const LIMITS = { timeout: 120_000 }
const ROUNDS = 10

test('ten increments of random writes and trims read what changed, and restore to the instant',
  LIMITS, async (t) => {
    const machine = await BareMachine.start(t)
    const repositoryPath = await newRepository(t)
    const repositoryId = await withRepository(repositoryPath, t, async ({ id }) => id)
    const copies = await testFolder(t)
    let base: string | undefined
    let touched = 0
    for (let round = 0; round < ROUNDS; round++) {
      const trims = round % 2 === 1
      await machine.disturb(100 + round, 6, trims)
      const { pointId, ...summary } = await machine.backup(t, repositoryPath, {
        atInstant: async () => {
          await machine.copyDisks(copies)
          touched = machine.takeTouchedBytes()
          await machine.disturb(200 + round, 2) // not in this point, and in the next one
        } })
      assert.deepEqual(basesOf(summary), ['vda', 'vdb'].map((disk) =>
        `${disk} ${base ?? 'first-backup'}`))
      assert.equal(summary.mode, base === undefined ? 'full' : 'incremental')
      const ratio = summary.bytesRead / touched
      if (base !== undefined) assert.ok(trims ? ratio <= 1 : ratio === 1, `${round}: ${ratio}`)
      await assertRestores(t, repositoryPath, pointId, copies)
      if (round % 3 === 2) {
        assert.ok('snapshotId' in summary.stored)
        const where = await restoreByText(t, repositoryPath, summary.stored.snapshotId)
        for (const disk of ['vda', 'vdb']) {
          await assertSame(t, join(where, `${disk}.raw`), join(copies, `${disk}.copy`))
        }
      }
      assert.deepEqual(await machine.bitmaps(repositoryId), [`vda ${pointId}`, `vdb ${pointId}`])
      base = pointId
    }
    assert.deepEqual(await machine.qemu.leavings(), [])
  })
