/** What a platform says of changes, held against machines in memory. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import { latestVerdict, NO_PINS, readCatalog } from '../catalog/mod.ts'
import type { AuditedDisk, TrackingAudit } from './audit-tracking.ts'
import { backupBench, basesOf, CHUNK, signal, type BackupBench } from './testing/backup-bench.ts'

function diskOf({ disks }: TrackingAudit, id: string): Extract<AuditedDisk, { since: string }> {
  const found = disks.find((disk) => disk.id === id)
  assert.ok(found !== undefined && 'since' in found, JSON.stringify(found))
  return found
}

/** Whatever is written to the first two chunks of `vda` is not told from now on. */
function lie(bench: BackupBench): void {
  bench.tracking.hides = (disk, offset) => disk === 'vda' && offset < 2 * CHUNK
}

test('tracking that is right passes, is read in full where asked for, and goes on', async () => {
  await using bench = await backupBench()
  const { pointId } = await bench.backup()
  bench.write('vda', 3 * CHUNK + 7, 'told')
  const audit = await bench.audit()
  assert.deepEqual(audit.verdicts, [])
  const { since, compared, differing, changedBytes } = diskOf(audit, 'vda')
  assert.deepEqual([since, compared, differing], [pointId, 7, 0])
  assert.ok(changedBytes > 0 && changedBytes < CHUNK)
  assert.deepEqual(diskOf(audit, 'vdb').comparedBytes, bench.disks.get('vdb')?.length)
  assert.deepEqual([...bench.provider.left], [])
  const next = await bench.backup()
  assert.deepEqual([next.mode, next.bytesRead], ['incremental', CHUNK])
})

test('a change that was missed since a full point makes the next full, and refutes none',
  async () => {
    await using bench = await backupBench()
    const { pointId } = await bench.backup()
    lie(bench)
    bench.write('vda', CHUNK + 3, 'hidden')
    const audit = await bench.audit()
    const { differing, firstOffset } = diskOf(audit, 'vda')
    assert.deepEqual([differing, firstOffset], [1, CHUNK])
    assert.deepEqual(audit.verdicts.map(({ point, verdict }) =>
      [point.pointId, verdict.verdict, verdict.checks.map(({ answer }) => answer)]),
    [[pointId, 'not-proven', ['silent']]])
    const next = await bench.backup()
    assert.deepEqual(basesOf(next), { vda: 'audit-failed', vdb: pointId })
    // The full point is a good base again.
    bench.tracking.hides = () => false
    assert.deepEqual(basesOf(await bench.backup()), { vda: next.pointId, vdb: next.pointId })
  })

test('an increment that lacks a change is refuted, signed, down to torn', async () => {
  await using bench = await backupBench()
  await bench.backup()
  lie(bench)
  bench.write('vda', 3, 'hidden')
  bench.write('vdb', 3, 'told')
  const noise = seededRandom(9)
  // The sample of the backup is of the last chunks alone, and misses it.
  const random = (length: number): Uint8Array =>
    length === 4 ? new Uint8Array([5, 0, 0, 0]) : noise(length)
  const increment = await bench.backup({ random })
  assert.equal(increment.mode, 'incremental')
  const audit = await bench.audit()
  assert.deepEqual(audit.verdicts.map(({ point, verdict }) =>
    [point.pointId, verdict.verdict, verdict.effective]),
  [[increment.pointId, 'refuted', 'torn']])
  const catalog = await readCatalog(bench.repository, signal)
  const point = (await bench.points()).at(-1)
  assert.ok(point !== undefined)
  const stored = latestVerdict(catalog, point.seal, NO_PINS)
  assert.match(stored?.verdict.checks[0]?.detail ?? '', /^of 8 chunks .*, 1 differs, .* byte 0;/)
  assert.equal(basesOf(await bench.backup())['vda'], 'audit-failed')
})

test('where nothing is tracked nothing is taken either', async () => {
  await using bench = await backupBench({ onInstant: () => assert.fail('an instant was taken') })
  const { disks, verdicts } = await bench.audit()
  assert.deepEqual(disks.map((disk) => 'unaudited' in disk ? disk.unaudited : ''),
    ['first-backup', 'first-backup'])
  assert.deepEqual(verdicts, [])
})
