import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { contractContent, testBlockSource } from './contract.ts'
import { faultyBlockSource } from './faulty-block-source.ts'
import { memorySource } from './memory-disk.ts'

testBlockSource('memory', async () => memorySource(contractContent()))
testBlockSource(
  'memory without extents', async () => memorySource(contractContent(), { extentBytes: 'none' }))
testBlockSource('faulty without trouble', async () =>
  faultyBlockSource(memorySource(contractContent()), { seed: 1 }, new ManualClock()))

const signal = new AbortController().signal

test('trouble comes again with the same seed and differs with another', async () => {
  const outcomes = async (seed: number): Promise<string> => {
    const source = faultyBlockSource(
      memorySource(new Uint8Array(64)), { seed, errorRate: 0.5 }, new ManualClock())
    const reads = Array.from({ length: 64 }, (_, i) => source.read(i, 1, signal))
    return (await Promise.allSettled(reads)).map(({ status }) => status[0]).join('')
  }
  assert.equal(await outcomes(5), await outcomes(5))
  assert.notEqual(await outcomes(5), await outcomes(6))
})

test('a lost disk stays lost, and a short read is one byte short', async () => {
  const memory = memorySource(new Uint8Array(64))
  const lost = faultyBlockSource(memory, { seed: 1, lostAfter: 1 }, new ManualClock())
  await lost.read(0, 1, signal)
  await assert.rejects(lost.read(0, 1, signal), { code: 'disk-lost' })
  await assert.rejects(lost.read(0, 1, signal), { code: 'disk-lost' })
  const short = faultyBlockSource(memory, { seed: 1, shortReadRate: 1 }, new ManualClock())
  assert.equal((await short.read(0, 8, signal)).length, 7)
})
