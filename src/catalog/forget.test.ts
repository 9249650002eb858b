import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sampleEvidence, testSigner } from '../consistency/testing/mod.ts'
import {
  beginWrite, checkRepository, goTime, type FileId, type Repository,
} from '../repository/mod.ts'
import type { RetentionRules } from '../schedule/mod.ts'
import type { Storage } from '../storage/mod.ts'
import { openMemoryStorage, recordingStorage, replay } from '../storage/testing/mod.ts'
import { chainLinks, readCatalog } from './catalog.ts'
import { planForget, type ForgetPlan, type ForgetRequest } from './forget-plan.ts'
import { carryOutForget } from './forget.ts'
import { recordPlace } from './layout.ts'
import { NO_PINS } from './point-seal.ts'
import { openPointRepository, SAMPLE_MACHINE, storePoint } from './testing/mod.ts'

const signal = new AbortController().signal
const NOW = Date.parse('2026-11-24T12:00:00Z')
const DAY_MS = 86_400_000
const BY = { signer: testSigner(), programVersion: 'test', nowMs: NOW }

interface Stored {
  readonly snapshotId: FileId
  readonly pointId: string
}

/** A point of `machine` that was taken so many days ago. */
async function point(
  repository: Repository, machine: string, daysAgo: number, more: Parameters<typeof storePoint>[1],
): Promise<Stored> {
  const sample = sampleEvidence()
  const pointId = `${String(daysAgo).padStart(8, '0')}-0000-4000-8000-${
    Buffer.from(machine.padEnd(6)).toString('hex').slice(0, 12)}`
  const evidence = {
    ...sample, pointId, machine: { ...sample.machine, name: machine },
    instant: { ...sample.instant, takenAt: new Date(NOW - daysAgo * DAY_MS).toISOString() },
  }
  const snapshotId = await storePoint(repository, {
    evidence, machine: { ...SAMPLE_MACHINE, name: machine }, timeMs: NOW - daysAgo * DAY_MS,
    ...more })
  return { snapshotId, pointId }
}

async function record(repository: Repository, machine: string, pointId: string): Promise<FileId> {
  await using session = await beginWrite(repository, {}, signal)
  const tree = await session.saveTree({ nodes: [] })
  await session.flush(signal)
  return await session.saveSnapshot(
    { time: goTime(NOW), tree, ...recordPlace(machine, pointId) }, signal)
}

interface Scene {
  readonly storage: ReturnType<typeof recordingStorage>
  readonly repository: Repository
  readonly web: readonly [Stored, Stored, Stored, Stored]
  readonly db: Stored
  /** Of web, newer than all that are whole. */
  readonly damaged: Stored
  readonly foreign: FileId
  readonly records: readonly [FileId, FileId]
}

async function makeScene(): Promise<Scene> {
  const storage = recordingStorage(openMemoryStorage())
  const repository = await openPointRepository(storage)
  const web = [
    await point(repository, 'web', 9, {}), await point(repository, 'web', 2, {}),
    await point(repository, 'web', 1, {}), await point(repository, 'web', 0, {}),
  ] as const
  const db = await point(repository, 'db', 3, {})
  const damaged = await point(repository, 'web', 5, { evidenceText: null })
  const foreign = await point(repository, 'web', 4, { tags: ['else'] })
  const records = [
    await record(repository, 'web', web[0].pointId),
    await record(repository, 'web', web[3].pointId),
  ] as const
  return { storage, repository, web, db, damaged, foreign: foreign.snapshotId, records }
}

async function plan(
  { repository }: Scene, rules: RetentionRules, more: Partial<ForgetRequest> = {},
): Promise<ForgetPlan> {
  return planForget(await readCatalog(repository, signal), {
    rules, machine: undefined, names: [], allowRemoveAll: false, zone: 'UTC', nowMs: NOW, ...more })
}

const decided = ({ points }: ForgetPlan): readonly string[] => points.map(({ point, decision }) =>
  `${point.state === 'readable' ? point.machine.name : point.machineName} ${
    Math.round((NOW - point.timeMs) / DAY_MS)} ${decision.action} ${decision.because}`)

const going = ({ points }: ForgetPlan): readonly FileId[] => points.flatMap(
  ({ point, decision }) => decision.action === 'forget' ? [point.snapshotId] : [])

test('each machine is judged by itself, what is damaged by no rule, what is foreign not at all',
  async () => {
    const scene = await makeScene()
    assert.deepEqual(decided(await plan(scene, { counts: { daily: 2 } })), [
      'db 3 keep rules',
      'web 9 forget no-rule', 'web 5 keep damaged', 'web 2 forget no-rule', 'web 1 keep rules',
      'web 0 keep rules'])
    const ofDb = await plan(scene, { last: 1 }, { machine: 'db' })
    assert.deepEqual(decided(ofDb), ['db 3 keep rules'])
  })

test('a damaged point takes nobody’s place', async () => {
  const scene = await makeScene()
  // Were it counted, it would be the fourth day and the third newest.
  assert.deepEqual(going(await plan(scene, { counts: { daily: 4 } })), [])
  assert.deepEqual(going(await plan(scene, { last: 3 })), [scene.web[0].snapshotId])
})

test('records go with their point, those of others stay', async () => {
  const scene = await makeScene()
  assert.deepEqual((await plan(scene, { last: 3 })).records, [scene.records[0]])
  const named = await plan(scene, {}, { names: [scene.web[3].pointId] })
  assert.deepEqual(named.records, [scene.records[1]])
})

test('records stay while a copy of their point does', async () => {
  const scene = await makeScene()
  const { repository, web } = scene
  const original = (await repository.snapshot(web[3].snapshotId, signal)).snapshot
  await using session = await beginWrite(repository, {}, signal)
  await session.saveSnapshot({ ...original, original: web[3].snapshotId }, signal)
  const one = await plan(scene, {}, { names: [web[3].snapshotId] })
  assert.deepEqual([going(one), one.records], [[web[3].snapshotId], []])
})

test('rules by tags read the tags of the snapshot', async () => {
  const scene = await makeScene()
  const tagged = await point(scene.repository, 'web', 30, { tags: ['stillpoint', 'gold', 'x'] })
  const kept = await plan(scene, { last: 1, tags: [['gold', 'x']] })
  assert.equal(going(kept).includes(tagged.snapshotId), false)
  assert.equal(going(kept).length, 3)
})

test('the last readable point of a machine stays, whatever the rules', async () => {
  const scene = await makeScene()
  const none = await plan(scene, { tags: [['gold']] })
  assert.deepEqual(decided(none).filter((text) => text.includes('last-point')),
    ['db 3 keep last-point', 'web 0 keep last-point'])
  const all = await plan(scene, { tags: [['gold']] }, { allowRemoveAll: true })
  assert.equal(going(all).length, 5)
  const names = scene.web.map(({ snapshotId }) => snapshotId)
  await assert.rejects(plan(scene, {}, { names }), { code: 'usage', message: /web .* left/ })
  assert.equal(going(await plan(scene, {}, { names, allowRemoveAll: true })).length, 4)
})

test('a damaged point goes when it is named', async () => {
  const scene = await makeScene()
  const { snapshotId } = scene.damaged
  const named = await plan(scene, {}, { names: [snapshotId.slice(0, 12)] })
  assert.deepEqual(going(named), [snapshotId])
})

test('what cannot be meant is a fault', async () => {
  const scene = await makeScene()
  await assert.rejects(plan(scene, {}), { code: 'usage' })
  await assert.rejects(plan(scene, { last: 1 }, { names: ['latest'] }), { code: 'usage' })
  await assert.rejects(plan(scene, { last: 1 }, { machine: 'mail' }), { code: 'point-not-found' })
  await assert.rejects(plan(scene, {}, { names: ['ffffffff'] }), { code: 'point-not-found' })
  await assert.rejects(
    plan(scene, {}, { names: [scene.foreign] }), { code: 'point-not-found' })
})

async function present(storage: Storage): Promise<ReadonlySet<string>> {
  return new Set((await Array.fromAsync(storage.list('snapshots', signal))).map(({ name }) => name))
}

test('a forget killed at any instant leaves each point whole or gone, none without a record',
  async () => {
    const scene = await makeScene()
    const { storage, repository, web, records } = scene
    const before = storage.operations.length
    const all = await present(storage)
    const planned = await plan(scene, {}, { names: [web[0].pointId, web[3].pointId] })
    {
      await using lock = await repository.lock('exclusive', signal)
      const catalog = await readCatalog(repository, signal)
      await carryOutForget(repository, lock, catalog, planned, BY, lock.lost)
    }
    const after = await present(storage)
    assert.deepEqual(new Set([...all].filter((id) => !after.has(id))),
      new Set([web[0].snapshotId, web[3].snapshotId, ...records]))
    for (let end = before; end <= storage.operations.length; end++) {
      const state = await replay(storage.operations.slice(0, end))
      const left = await present(state)
      for (const [at, { snapshotId }] of [web[0], web[3]].entries()) {
        // A record never outlives its point.
        assert.ok(left.has(snapshotId) || !left.has(records[at] ?? ''))
      }
      const reopened = await openPointRepository(state)
      const report = await checkRepository(reopened, { readData: true }, () => {}, signal)
      // Packs of a tombstone whose index was not written yet.
      assert.deepEqual(report.findings.filter(({ code }) => code !== 'pack-orphan'), [])
      const catalog = await readCatalog(reopened, signal)
      const { points } = catalog
      // A point that is gone has its tombstone: it was signed before.
      const known = new Set(chainLinks(
        catalog, { machine: 'web', repositoryId: reopened.id }, NO_PINS).map((it) => it.pointId))
      for (const { pointId } of web) assert.ok(known.has(pointId), `${pointId} left no trace`)
      assert.equal(points.filter(({ state }) => state === 'damaged').length, 1)
    }
  })

test('a forget whose lock is lost removes nothing more', async () => {
  const scene = await makeScene()
  const { storage, repository, web } = scene
  const planned = await plan(scene, {}, { names: [web[0].pointId] })
  const catalog = await readCatalog(repository, signal)
  const all = await present(storage)
  await using lock = await repository.lock('exclusive', signal)
  await repository.unlock(true, signal)
  await assert.rejects(
    carryOutForget(repository, lock, catalog, planned, BY, signal), { code: 'lock-lost' })
  assert.deepEqual(await present(storage), all)
})
