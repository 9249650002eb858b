import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChainPlace, Signer } from '../consistency/mod.ts'
import { sampleEvidence, testSigner } from '../consistency/testing/mod.ts'
import { beginWrite, type FileId, type Repository } from '../repository/mod.ts'
import { openMemoryStorage } from '../storage/testing/mod.ts'
import { chainLinks, readCatalog } from './catalog.ts'
import { planForget } from './forget-plan.ts'
import { carryOutForget } from './forget.ts'
import { NO_PINS } from './point-seal.ts'
import { openPointRepository, storePoint } from './testing/mod.ts'

const signal = new AbortController().signal
const NOW = Date.parse('2026-11-24T12:00:00Z')
const [ours, theirs] = [testSigner(1), testSigner(2)]
const FIRST = { sequence: 1, previous: null }

const idOf = (n: number): string => `${String(n).padStart(8, '0')}-0000-4000-8000-000000000000`

/** Point number n of db1; the digests of a chain do not matter here. */
function point(repository: Repository, n: number, signer: Signer): Promise<FileId> {
  const place: ChainPlace = n === 1 ? FIRST : { sequence: n, previous: 'a'.repeat(64) }
  return storePoint(repository, { signer, place, evidence: sampleEvidence({ pointId: idOf(n) }) })
}

async function forget(
  repository: Repository, numbers: readonly number[], signer: Signer): Promise<void> {
  await using lock = await repository.lock('exclusive', signal)
  const all = await readCatalog(repository, signal)
  const plan = planForget(all, {
    rules: {}, machine: undefined, names: numbers.map(idOf), allowRemoveAll: true, zone: 'UTC',
    nowMs: NOW })
  const by = { signer, programVersion: 'test', nowMs: NOW }
  await carryOutForget(repository, lock, all, plan, by, signal)
}

async function forgotten(
  repository: Repository, trusted: ReadonlySet<Signer['publicKey']['fingerprint']> = NO_PINS,
): Promise<readonly number[]> {
  const catalog = await readCatalog(repository, signal)
  return chainLinks(catalog, { machine: 'db1', repositoryId: repository.id }, trusted)
    .filter(({ standing }) => standing === 'forgotten').map(({ sequence }) => sequence)
    .toSorted((a, b) => a - b)
}

test('there stays one record a key, and none vouches for what another has said', async () => {
  const repository = await openPointRepository(openMemoryStorage())
  for (const n of [1, 2, 3, 4, 5]) await point(repository, n, ours)
  await forget(repository, [1], theirs)
  await forget(repository, [2], ours)
  await forget(repository, [3, 4], ours)
  const { records } = await readCatalog(repository, signal)
  assert.deepEqual(records.map(({ signed }) => signed.signer).toSorted(),
    [ours, theirs].map((it) => it.publicKey.fingerprint).toSorted())
  assert.deepEqual(await forgotten(repository), [1, 2, 3, 4])
  const trusted = new Set([ours.publicKey.fingerprint])
  assert.deepEqual(await forgotten(repository, trusted), [2, 3, 4])
})

test('a tombstone does not make a foreign point one of the chain', async () => {
  const repository = await openPointRepository(openMemoryStorage())
  await point(repository, 1, ours)
  await point(repository, 2, theirs)
  await forget(repository, [2], ours)
  assert.deepEqual(await forgotten(repository), [2])
  assert.deepEqual(await forgotten(repository, new Set([ours.publicKey.fingerprint])), [])
})

test('a point of which a copy stays gets no tombstone', async () => {
  const repository = await openPointRepository(openMemoryStorage())
  const first = await point(repository, 1, ours)
  const copy = await repository.snapshot(first, signal)
  await point(repository, 2, ours)
  const { id } = copy
  const { storage } = repository
  await using session = await beginWrite(repository, {}, signal)
  await session.saveSnapshot({ ...copy.snapshot, original: id }, signal)
  await using lock = await repository.lock('exclusive', signal)
  const all = await readCatalog(repository, signal)
  const plan = planForget(all, {
    rules: {}, machine: undefined, names: [first], allowRemoveAll: true, zone: 'UTC', nowMs: NOW })
  await carryOutForget(
    repository, lock, all, plan, { signer: ours, programVersion: 'test', nowMs: NOW }, signal)
  assert.equal((await Array.fromAsync(storage.list('snapshots', signal))).length, 2)
  assert.deepEqual(await forgotten(repository), [])
})
