/** Two disks of one snapshot set show one instant: what was written first is never the missing. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { readRestorePoints } from '../../src/catalog/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import { backup, newRepository, readyGuest, testFolder, withRepository } from './rig.ts'

const ROUNDS = 20
const LIMITS = { timeout: 600_000 }
const CRASH = { require: 'crash', onWeaker: undefined } as const

const rows = (guest: RunningGuest): number => guest.witness.lastAcknowledged('rows')?.id ?? 0

function moreRows(guest: RunningGuest, count: number, signal: AbortSignal): Promise<void> {
  const wanted = rows(guest) + count
  return guest.witness.until(`row ${wanted}`, () => rows(guest) >= wanted, signal)
}

/** The highest id of the guest's table in a restored image, its journals replayed beforehand. */
async function highestId(
  image: string, table: 'rows' | 'canary', folder: string, signal: AbortSignal): Promise<number> {
  // Without the replay the file would be read as it was at the last checkpoint of the journal.
  await runProgram('e2fsck', ['-y', '-E', 'journal_only', image], { signal, okCodes: [0, 1] })
  for (const file of [`${table}.db`, `${table}.db-wal`]) {
    await runProgram('debugfs', ['-R', `dump /${file} ${join(folder, file)}`, image], { signal })
  }
  const { stdout } = await runProgram(
    'sqlite3', [join(folder, `${table}.db`), `select max(id) from ${table}`], { signal })
  return Number(Buffer.from(stdout).toString().trim())
}

/** Backs up without any freeze: only the snapshot set's own atomicity is at work. */
async function capture(
  t: TestContext, guest: RunningGuest, repositoryPath: string, exclude: readonly string[] = [],
): Promise<string> {
  const { stored, result } = await backup(t, {
    guest, repositoryPath, agent: false, settings: CRASH, exclude })
  assert.ok('snapshotId' in stored)
  assert.equal(result.grade, 'crash')
  return stored.snapshotId
}

/** The highest ids of both tables; `from` names the snapshot of each disk. */
async function readBoth(
  t: TestContext, repositoryPath: string,
  from: { readonly 'virtio-disk0': string; readonly 'virtio-disk1': string },
): Promise<{ readonly rows: number; readonly canary: number }> {
  const folder = await testFolder(t)
  const found = new Map<string, number>()
  await withRepository(repositoryPath, t, async (repository) => {
    const points = await readRestorePoints(repository, t.signal)
    for (const [disk, table] of [['virtio-disk0', 'rows'], ['virtio-disk1', 'canary']] as const) {
      const point = points.find(({ snapshotId }) => snapshotId === from[disk])
      assert.ok(point?.state === 'readable')
      await restoreDisks({
        repository, point, folder: join(folder, disk), disks: [disk], format: 'raw',
      }, () => {}, clock, t.signal)
      const image = join(folder, disk, `${disk}.raw`)
      found.set(table, await highestId(image, table, folder, t.signal))
    }
  })
  return { rows: found.get('rows') ?? NaN, canary: found.get('canary') ?? NaN }
}

test('over 20 captures no row is missing on disk 0 whose successor is on disk 1', LIMITS,
  async (t) => {
    const guest = await readyGuest(t)
    const repositoryPath = await newRepository(t)
    await moreRows(guest, 20, t.signal)
    const found: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const snapshot = await capture(t, guest, repositoryPath)
      const { rows, canary } = await readBoth(t, repositoryPath, {
        'virtio-disk0': snapshot, 'virtio-disk1': snapshot })
      found.push(`${rows}/${canary}`)
      // Row n is committed to disk 0 before canary n to disk 1, and canary n before row n + 1.
      assert.ok(rows === canary || rows === canary + 1, `round ${round}: ${rows}/${canary}`)
    }
    t.diagnostic(`row/canary: ${found.join(' ')}`)

    await t.test('two captures, one of each disk, break it: the test can fail', async (t) => {
      const first = await capture(t, guest, repositoryPath, ['virtio-disk1'])
      await moreRows(guest, 20, t.signal)
      const second = await capture(t, guest, repositoryPath, ['virtio-disk0'])
      const { rows, canary } = await readBoth(t, repositoryPath, {
        'virtio-disk0': first, 'virtio-disk1': second })
      assert.ok(canary > rows, `${rows}/${canary}`)
    })
  })
