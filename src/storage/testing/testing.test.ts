import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { isFault } from '../../base/fault.ts'
import type { Storage, StorageFile } from '../storage.ts'
import {
  crashStates, faultyStorage, openMemoryStorage, recordingStorage, replay, storageContract,
  type FaultPlan,
} from './mod.ts'

const signal = new AbortController().signal
const file = (n: number): StorageFile => ({ kind: 'data', name: n.toString(16).padStart(64, '0') })

storageContract('memory', async () => openMemoryStorage())
storageContract('faulty without faults', async () =>
  faultyStorage(openMemoryStorage(), { seed: 1, maxDelayTurns: 4 }))
storageContract('recording', async () => recordingStorage(openMemoryStorage()))

async function tryPuts(plan: FaultPlan): Promise<{ storage: Storage; failed: readonly number[] }> {
  const storage = openMemoryStorage()
  const faulty = faultyStorage(storage, plan)
  const failed: number[] = []
  for (let n = 0; n < 60; n++) {
    try {
      await faulty.put(file(n), [Buffer.from([n])], signal)
    } catch (error) {
      assert.ok(isFault(error, 'storage-failed'))
      failed.push(n)
    }
  }
  return { storage, failed }
}

async function has(storage: Storage, n: number): Promise<boolean> {
  return storage.get(file(n), {}, signal).then(() => true, () => false)
}

test('the same seed fails the same way, another one differs', async () => {
  const first = await tryPuts({ seed: 7, errorChance: 0.3 })
  const again = await tryPuts({ seed: 7, errorChance: 0.3 })
  const other = await tryPuts({ seed: 8, errorChance: 0.3 })
  assert.deepEqual(first.failed, again.failed)
  assert.notDeepEqual(first.failed, other.failed)
  assert.ok(first.failed.length > 5 && first.failed.length < 40)
  for (const n of first.failed) assert.equal(await has(first.storage, n), false)
})

test('a put of unknown outcome fails and yet is there', async () => {
  const { storage, failed } = await tryPuts({ seed: 7, unknownOutcomeChance: 0.3 })
  assert.ok(failed.length > 5)
  for (const n of failed) assert.equal(await has(storage, n), true)
})

test('a lost connection stays lost', async () => {
  const { failed } = await tryPuts({ seed: 7, lostAfter: 20 })
  assert.deepEqual(failed, Array.from({ length: 40 }, (_, n) => n + 20))
})

test('faults can be kept to one kind of file', async () => {
  const { failed } = await tryPuts({ seed: 7, errorChance: 1, kinds: ['index'] })
  assert.deepEqual(failed, [])
})

test('a short read lacks bytes', async () => {
  const storage = openMemoryStorage()
  await storage.put(file(1), [Buffer.alloc(100)], signal)
  const faulty = faultyStorage(storage, { seed: 1, shortReadChance: 1 })
  assert.ok((await faulty.get(file(1), {}, signal)).length < 100)
})

test('any prefix of recorded operations can be looked at again', async () => {
  const storage = recordingStorage(openMemoryStorage())
  await storage.put(file(1), [Buffer.from('a'), Buffer.from('b')], signal)
  await storage.put(file(2), [Buffer.from('c')], signal)
  await storage.remove(file(1), signal)
  await assert.rejects(storage.put(file(2), [Buffer.from('d')], signal))
  assert.equal(storage.operations.length, 3)
  const before = await replay(storage.operations.slice(0, 2))
  assert.equal(Buffer.from(await before.get(file(1), {}, signal)).toString(), 'ab')
  const after = await replay(storage.operations)
  assert.deepEqual([await has(after, 1), await has(after, 2)], [false, true])
})

test('a crash leaves any of the changes under way, and all that were done', async () => {
  const storage = recordingStorage(
    faultyStorage(openMemoryStorage(), { seed: 3, maxDelayTurns: 3 }))
  await storage.put(file(1), [Buffer.from('a')], signal)
  await Promise.all([2, 3].map((n) => storage.put(file(n), [Buffer.from('b')], signal)))
  await storage.remove(file(1), signal)
  const states = new Set<string>()
  for (const operations of crashStates(storage.operations, 0)) {
    const names = await Array.fromAsync((await replay(operations)).list('data', signal))
    const numbers = names.map(({ name }) => Number.parseInt(name, 16))
    states.add(numbers.toSorted((a, b) => a - b).join(''))
  }
  assert.deepEqual([...states].sort(), ['', '1', '12', '123', '13', '23'])
})
