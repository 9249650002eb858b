/** Our repositories read by rustic, another program for the same format, and rustic's by us. */

import { strict as assert } from 'node:assert'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkRepository } from '../../src/repository/mod.ts'
import {
  assertHoldsOnly, MIB, openBench, signal, storePoint, storeThreePoints, writeImage,
} from '../interop/disk-bench.ts'

test('rustic finds no error in what we store, and restores it', async (t) => {
  await using bench = await openBench(t, 'rustic')
  if (bench === undefined) return
  const path = join(bench.folder, 'a')
  await writeImage(path, 290 * MIB + 512, 1)
  const id = await storePoint(bench, { vda: path })
  await bench.run('rustic check --read-data')
  await bench.run('rustic restore "$1:disks" out && cat out/vda/*/*/seg | head -c "$2" | cmp - a',
    id, String(290 * MIB + 512))
})

test('after rustic forgets and prunes, we find no error, and the disk is whole', async (t) => {
  await using bench = await openBench(t, 'rustic')
  if (bench === undefined) return
  const path = await storeThreePoints(bench)
  await bench.run('rustic forget --keep-last 1 --group-by host')
  await bench.run('rustic prune --max-unused 0 --instant-delete --keep-pack 0s')
  await using after = await bench.reopen()
  await assertHoldsOnly(after, path)
})

test('we find no error in what rustic stores', async (t) => {
  await using bench = await openBench(t, 'rustic')
  if (bench === undefined) return
  await bench.run('rm -rf repo && rustic init && mkdir files')
  await writeImage(join(bench.folder, 'files/a'), 20 * MIB, 7)
  await bench.run('rustic backup files && rustic backup files')
  await using after = await bench.reopen()
  const report = await checkRepository(after, { readData: true }, () => {}, signal)
  assert.ok(report.isSound, JSON.stringify(report.findings))
  assert.equal((await after.snapshots(signal)).length, 2)
})
