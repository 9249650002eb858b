import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCatalog, recordPlace, type Catalog } from '../catalog/mod.ts'
import { storePoint } from '../catalog/testing/mod.ts'
import { sampleEvidence, testSigner } from '../consistency/testing/mod.ts'
import { beginWrite, dirNode } from '../repository/mod.ts'
import { nextPlaceOf } from './next-place.ts'
import { backupBench, basesOf, signal, type BackupBench } from './testing/backup-bench.ts'

/** Numbers of the evidence of db1's points, and those that completion records name. */
async function numbers(bench: BackupBench): Promise<{
  readonly points: readonly number[]; readonly records: readonly number[] }> {
  const { points, records }: Catalog = await readCatalog(bench.repository, signal)
  return {
    points: points.flatMap(({ seal }) => seal?.statement.sequence ?? []).toSorted((a, b) => a - b),
    records: records.flatMap(({ signed: { statement } }) =>
      statement.kind === 'completion' ? [statement.sequence] : []).toSorted((a, b) => a - b),
  }
}

test('each backup is the next of its machine, and leaves a record of its completion', async () => {
  await using bench = await backupBench()
  const first = await bench.backup()
  const second = await bench.backup()
  assert.ok('snapshotId' in first.stored && 'snapshotId' in second.stored)
  assert.deepEqual([first.stored.sequence, first.stored.previous], [1, null])
  assert.deepEqual([second.stored.sequence, second.stored.previous], [2, first.stored.digest])
  assert.deepEqual(await numbers(bench), { points: [1, 2], records: [1, 2] })
  const hosts = (await bench.repository.snapshots(signal)).map(({ snapshot }) => snapshot.hostname)
  assert.equal(hosts.filter((host) => host === recordPlace('db1').hostname).length, 2)
})

test('two backups at once take one place each, or show as a fork, never as one', async () => {
  await using bench = await backupBench()
  const known = await readCatalog(bench.repository, signal)
  await bench.backup()
  // What was read before the other ended does not count.
  const place = await nextPlaceOf(
    { repository: bench.repository, signer: testSigner(), pins: new Set() }, 'db1', known, signal)
  assert.equal(place.sequence, 2)
})

test('a foreign point of a high number leads nobody astray', async () => {
  await using bench = await backupBench()
  const first = await bench.backup()
  assert.ok('snapshotId' in first.stored)
  await storePoint(bench.repository, {
    signer: testSigner(9), place: { sequence: 900, previous: 'a'.repeat(64) },
    evidence: sampleEvidence() })
  const second = await bench.backup()
  assert.ok('snapshotId' in second.stored)
  assert.deepEqual([second.stored.sequence, second.stored.previous], [2, first.stored.digest])
  // To whose key nothing is known yet, theirs is all there is.
  const stranger = await bench.backup({ signer: testSigner(7) })
  assert.ok('snapshotId' in stranger.stored)
  assert.equal(stranger.stored.sequence, 901)
})

test('a point that was altered since, or that another key has signed, is no base', async () => {
  await using bench = await backupBench()
  await bench.backup()
  const { pointId } = await bench.backup()
  assert.deepEqual(basesOf(await bench.backup({ signer: testSigner(2) })).vda, 'base-gone')
  const pinned = await bench.backup({
    signer: testSigner(3), pins: new Set([testSigner(2).publicKey.fingerprint]) })
  assert.match(basesOf(pinned).vda ?? '', /^[0-9a-f]{8}-/)
  // Every point loses a disk.
  const { repository } = bench
  for (const { id, snapshot } of await repository.snapshots(signal)) {
    if (snapshot.hostname !== 'db1') continue
    await using session = await beginWrite(repository, {}, signal)
    const empty = await session.saveTree({ nodes: [] })
    const { nodes } = await repository.readTree(snapshot.tree, signal)
    const disks = nodes.find(({ name }) => name === 'disks')
    assert.ok(disks?.type === 'dir')
    const folder = await session.saveTree({
      nodes: (await repository.readTree(disks.subtree, signal)).nodes.map((node) =>
        node.name === 'vdb' ? dirNode('vdb', empty) : node) })
    const tree = await session.saveTree({
      nodes: nodes.map((node) => node.name === 'disks' ? dirNode('disks', folder) : node) })
    await session.flush(signal)
    await session.saveSnapshot({ ...snapshot, tree }, signal)
    await repository.storage.remove({ kind: 'snapshots', name: id }, signal)
  }
  const after = await bench.backup({ signer: testSigner(3) })
  assert.notEqual(basesOf(after).vda, pointId)
  assert.deepEqual(basesOf(after).vda, 'base-gone')
})
