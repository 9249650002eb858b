/** Which disks may be read by their changes alone, and why others may not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { seededRandom } from '../base/random.ts'
import { FULL_REASONS, type DiskBase, type SetTracking } from '../consistency/mod.ts'
import type { BlockSource, Range } from '../disk/mod.ts'
import { testSigner } from '../consistency/testing/mod.ts'
import { memorySource } from '../disk/testing/mod.ts'
import type { BlobId, Repository } from '../repository/mod.ts'
import { isUnchanged, planDisk, sealedPoints } from './disk-bases.ts'
import { backupBench, CHUNK, signal, type BackupBench } from './testing/backup-bench.ts'

const never = new Set<BlobId>()

/** `repository` as if these blobs were in no index. */
function lacking(repository: Repository, blobs: ReadonlySet<BlobId>): Repository {
  const { index } = repository
  return {
    ...repository, index: new Proxy(index, {
      get: (_, key) => key === 'has'
        ? (kind: 'data' | 'tree', id: BlobId) => !blobs.has(id) && index.has(kind, id)
        : Reflect.get(index, key, index) as unknown,
    }),
    readTree: async (id, signal) => {
      if (blobs.has(id)) throw new Fault('repository-damaged', 'a tree is in no index')
      return repository.readTree(id, signal)
    },
  }
}

const OWN = new Set([testSigner().publicKey.fingerprint])

/** A tracking that says the same of every disk. */
function saying(base: DiskBase): SetTracking {
  return { bases: new Map([['vda', base], ['vdb', base], ['new', base]]), sealed: () => {} }
}

async function planned(
  bench: BackupBench, said: DiskBase | 'nothing', wishes: {
    readonly id?: string; readonly sizeBytes?: number; readonly full?: boolean
    readonly blobs?: ReadonlySet<BlobId>; readonly machine?: string
  } = {},
): Promise<DiskBase> {
  const { id = 'vda', blobs = never, machine = 'db1' } = wishes
  const sizeBytes = wishes.sizeBytes ?? bench.disks.get(id)?.length ?? CHUNK
  const { base, stored } = await planDisk({ repository: lacking(bench.repository, blobs),
    points: sealedPoints(await bench.points(), machine, OWN), records: [] }, { id, sizeBytes },
    said === 'nothing' ? undefined : saying(said), wishes.full ?? false, signal)
  assert.equal(stored?.id, 'since' in base ? id : undefined)
  return base
}

test('a disk of a sealed point of the machine can be a base, and only then', async () => {
  await using bench = await backupBench()
  const { pointId: since } = await bench.backup()
  const said = { since }
  assert.deepEqual(await planned(bench, said), said)
  assert.deepEqual(await planned(bench, said, { full: true }), { full: 'asked-for' })
  assert.deepEqual(await planned(bench, 'nothing'), { full: 'not-tracked' })
  assert.deepEqual(await planned(bench, said, { id: 'new' }), { full: 'disk-replaced' })
  assert.deepEqual(await planned(bench, said, { sizeBytes: CHUNK }), { full: 'disk-resized' })
  assert.deepEqual(await planned(bench, said, { machine: 'db2' }), { full: 'disk-replaced' })
})

test('what the platform says is passed on; a disk nobody has stored yet has its first backup',
  async () => {
    await using bench = await backupBench()
    await bench.backup()
    const reasons = Object.keys(FULL_REASONS) as (keyof typeof FULL_REASONS)[]
    for (const full of reasons) assert.deepEqual(await planned(bench, { full }), { full })
    assert.deepEqual(await planned(bench, { full: 'bitmap-gone' }, { id: 'new' }),
      { full: 'first-backup' })
  })

test('a base with a tree or a chunk that no index has is damaged', async () => {
  await using bench = await backupBench()
  const { pointId: since } = await bench.backup()
  const [point] = await bench.points()
  const disk = point?.disks.find(({ id }) => id === 'vda')
  assert.ok(disk !== undefined)
  const { trees, chunks } = await blobsOf(bench.repository, disk.treeId)
  assert.deepEqual([trees.length, chunks.length], [3, 8])
  for (const id of [...trees, ...chunks]) {
    assert.deepEqual(
      await planned(bench, { since }, { blobs: new Set([id]) }), { full: 'base-damaged' })
    // The other disk shares nothing with it.
    assert.deepEqual(
      await planned(bench, { since }, { id: 'vdb', blobs: new Set([id]) }), { since })
  }
})

async function blobsOf(
  repository: Repository, treeId: BlobId,
): Promise<{ readonly trees: readonly BlobId[]; readonly chunks: readonly BlobId[] }> {
  const [trees, chunks] = [[treeId], [] as BlobId[]]
  for (const tree of trees) {
    for (const node of (await repository.readTree(tree, signal)).nodes) {
      if (node.type === 'dir') trees.push(node.subtree)
      if (node.type === 'file') chunks.push(...node.content)
    }
  }
  return { trees, chunks }
}

test('points of other machines, and damaged ones, are no bases', async () => {
  await using bench = await backupBench()
  const { pointId } = await bench.backup()
  const points = [...await bench.points(), {
    state: 'damaged' as const, snapshotId: (await bench.points())[0]?.snapshotId ?? assert.fail(),
    timeMs: 0, machineName: 'db1', reason: '' }]
  assert.deepEqual(sealedPoints(points, 'db1', OWN).map((point) => point.pointId), [pointId])
  assert.deepEqual(sealedPoints(points, 'db2', OWN), [])
})

/** Tells `told` as changed, whatever is. */
function told(bytes: Uint8Array, ranges: readonly Range[]): BlockSource {
  return { ...memorySource(bytes), changes: async function* (range) {
    for (const { offset, length } of ranges) {
      const end = Math.min(offset + length, range.offset + range.length)
      const start = Math.max(offset, range.offset)
      if (start < end) yield { offset: start, length: end - start }
    }
  } }
}

test('a sample shows what was changed and not told', async () => {
  await using bench = await backupBench()
  await bench.backup()
  const disk = (await bench.points())[0]?.disks.find(({ id }) => id === 'vdb')
  const now = bench.contents().get('vdb')
  assert.ok(disk !== undefined && now !== undefined)
  const check = (source: BlockSource, seed = 1): Promise<boolean> =>
    isUnchanged(bench.repository, source, disk, seededRandom(seed), signal)
  assert.equal(await check(told(now, [])), true)
  assert.equal(await check(memorySource(now)), false) // it tells nothing at all

  now.fill(1, 2 * CHUNK, 2 * CHUNK + 1)
  assert.equal(await check(told(now, [{ offset: 2 * CHUNK, length: 1 }])), true)
  assert.equal(await check(told(now, [])), false)
  // The last chunk, which is a short one, is looked at like the others.
  const last = bench.contents().get('vdb')
  last?.fill(1, last.length - 1)
  assert.equal(last && await check(told(last, [])), false)
})
