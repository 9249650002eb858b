import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodeEvidence, type Evidence } from '../consistency/mod.ts'
import { SAMPLE_POINT_ID, sampleEvidence } from '../consistency/testing/mod.ts'
import { fileIdOf, type Repository } from '../repository/mod.ts'
import type { Storage } from '../storage/mod.ts'
import { openMemoryStorage } from '../storage/testing/mod.ts'
import { readRestorePoints } from './catalog.ts'
import { gradeTag, STILLPOINT_TAG } from './layout.ts'
import { readDocument, type ListedPoint } from './restore-point.ts'
import {
  openPointRepository, SAMPLE_MACHINE, storePoint, type PointParts,
} from './testing/stored-point.ts'

const signal = new AbortController().signal

async function repositoryIn(storage: Storage = openMemoryStorage()): Promise<Repository> {
  return openPointRepository(storage)
}

/** The one point that is listed of a repository with these parts. */
async function listed(parts: PointParts): Promise<ListedPoint> {
  const repository = await repositoryIn()
  await storePoint(repository, parts)
  const [point, ...others] = await readRestorePoints(repository, signal)
  assert.ok(point !== undefined && others.length === 0)
  return point
}

function at(takenAt: string, changes: Partial<Evidence> = {}): Evidence {
  const sample = sampleEvidence()
  return { ...sample, instant: { ...sample.instant, takenAt }, ...changes }
}

test('a point is read back with what was observed and what follows from it', async () => {
  const repository = await repositoryIn()
  const snapshotId = await storePoint(repository, { documents: { 'qemu.json': '{}', 'empty': '' } })
  const [point] = await readRestorePoints(repository, signal)
  assert.ok(point?.state === 'readable')
  assert.deepEqual(
    [point.pointId, point.snapshotId, point.timeMs, point.result.grade, point.claimed],
    [SAMPLE_POINT_ID, snapshotId, Date.parse('2026-08-01T10:00:01.040Z'), 'application',
      'application'])
  assert.deepEqual([point.heldMs, point.stalledMs], [30, 55])
  assert.equal(point.sizeBytes, (1 << 30) + (1 << 20))
  assert.deepEqual(point.machine, SAMPLE_MACHINE)
  assert.deepEqual(point.disks.map(({ id, sizeBytes }) => [id, sizeBytes]),
    [['vda', 1 << 30], ['vdb', 1 << 20]])
  assert.deepEqual(point.documents.map(({ name }) => name), ['empty', 'qemu.json'])
  const texts = point.documents.map(async (document) =>
    new TextDecoder().decode(await readDocument(repository, document, signal)))
  assert.deepEqual(await Promise.all(texts), ['', '{}'])
})

test('the grade comes from the evidence, whatever the tag claims', async () => {
  const evidence = at('2026-08-01T10:00:01Z', {
    hold: { by: 'nobody', reason: 'agent-silent', detail: '' } })
  const point = await listed({ evidence, tags: [STILLPOINT_TAG, gradeTag('application')] })
  assert.ok(point.state === 'readable')
  assert.deepEqual([point.result.grade, point.claimed], ['crash', 'application'])
})

test('a claim that is no grade is none', async () => {
  const point = await listed({ tags: [STILLPOINT_TAG, gradeTag('perfect')] })
  assert.ok(point.state === 'readable')
  assert.equal(point.claimed, undefined)
})

test('snapshots of others are not listed', async () => {
  const repository = await repositoryIn()
  await storePoint(repository, { tags: [] })
  await storePoint(repository, { tags: ['daily', gradeTag('application')] })
  assert.deepEqual(await readRestorePoints(repository, signal), [])
})

test('points are listed oldest instant first, whenever they were sealed', async () => {
  const repository = await repositoryIn()
  for (const [takenAt, timeMs] of [
    ['2026-08-03T00:00:00Z', 1], ['2026-08-01T00:00:00Z', 2], ['2026-08-02T00:00:00Z', 3],
  ] as const) await storePoint(repository, { evidence: at(takenAt), timeMs })
  const points = await readRestorePoints(repository, signal)
  assert.deepEqual(points.map(({ timeMs }) => new Date(timeMs).getUTCDate()), [1, 2, 3])
})

suite('a point is listed as damaged, with the reason', () => {
  const [vda, vdb] = SAMPLE_MACHINE.disks
  assert.ok(vda !== undefined && vdb !== undefined)
  const cases: readonly [string, PointParts, RegExp][] = [
    ['without evidence', { evidenceText: null }, /evidence\.dsse\.json is missing/],
    ['without a machine', { machineText: null }, /machine\.json is missing/],
    ['with evidence that is no JSON', { evidenceText: '{' }, /evidence\.dsse\.json is not valid/],
    ['with empty evidence', { evidenceText: '' }, /evidence\.dsse\.json is not valid JSON/],
    ['with evidence that is not signed',
      { evidenceText: encodeEvidence(sampleEvidence()) }, /payload/],
    ['with a machine of which a part is missing', { machineText: '{"version":1}' }, /name/],
    ['with evidence beyond its bounds', { evidenceText: ' '.repeat(8_000_000) }, /longer than/],
    ['with a disk that is not stored', { disks: ['vda'] }, /do not name the same disks/],
    ['with a disk of another name', { disks: ['vda', 'vdx'] }, /vdb of machine\.json is not/],
    ['with one disk more than was captured', { disks: ['vda', 'vdb', 'vdc'] }, /the same disks/],
    ['with a disk of another size', {
      machine: { ...SAMPLE_MACHINE, disks: [vda, { ...vdb, sizeBytes: 5 }] } }, /size of disk vdb/],
    ['of another machine', { machine: { ...SAMPLE_MACHINE, name: 'other' } }, /different machines/],
    ['with a document that has no safe name', { documents: { 'A B': 'x' } }, /something else/],
  ]
  for (const [name, parts, reason] of cases) {
    test(name, async () => {
      const point = await listed(parts)
      assert.ok(point.state === 'damaged', 'it is readable')
      assert.match(point.reason, reason)
    })
  }

  test('when its snapshot file cannot be read, and the others are still listed', async () => {
    const storage = openMemoryStorage()
    const repository = await repositoryIn(storage)
    await storePoint(repository)
    const name = fileIdOf(new Uint8Array([1]))
    await storage.put({ kind: 'snapshots', name }, [new Uint8Array(80)], signal)
    const points = await readRestorePoints(repository, signal)
    assert.deepEqual(points.map(({ state }) => state), ['damaged', 'readable'])
    assert.deepEqual([points[0]?.snapshotId, points[0]?.timeMs], [name, 0])
  })

  test('when its tree is lost', async () => {
    const storage = openMemoryStorage()
    await storePoint(await repositoryIn(storage))
    for await (const { name } of storage.list('data', signal)) {
      await storage.remove({ kind: 'data', name }, signal)
    }
    const [point] = await readRestorePoints(await repositoryIn(storage), signal)
    assert.equal(point?.state, 'damaged')
  })
})

test('an interrupt ends the listing and makes no point damaged', async () => {
  const repository = await repositoryIn()
  await storePoint(repository)
  const reason = new Error('changed my mind')
  await assert.rejects(readRestorePoints(repository, AbortSignal.abort(reason)), reason)
})
