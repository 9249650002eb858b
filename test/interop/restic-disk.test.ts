/** Disks that we store, read by stock restic. */

import { strict as assert } from 'node:assert'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  assertHoldsOnly, MIB, openBench, signal, storePoint, storeThreePoints, writeImage,
} from './disk-bench.ts'

test('the commands of RESTORE.txt give identical disks, and restic finds no error', async (t) => {
  await using bench = await openBench(t, 'restic')
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
  await using bench = await openBench(t, 'restic')
  if (bench === undefined) return
  const path = await storeThreePoints(bench)
  await bench.run('restic forget --keep-last 1 --prune --max-unused 0')
  await bench.run('restic check --read-data')
  await using after = await bench.reopen()
  await assertHoldsOnly(after, path)
})

test('a run writes one small data pack and one small tree pack at most', async (t) => {
  await using bench = await openBench(t, 'restic')
  if (bench === undefined) return
  const path = join(bench.folder, 'a')
  await writeImage(path, 200 * MIB, 4)
  await storePoint(bench, { vda: path, vdb: path })
  const sizes = []
  for await (const file of bench.repository.storage.list('data', signal)) sizes.push(file.sizeBytes)
  assert.ok(sizes.length > 2)
  // A full pack has no room for another chunk below 16 MiB.
  assert.ok(sizes.filter((size) => size < 15 * MIB).length <= 2, sizes.join(' '))
})
