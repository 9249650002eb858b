import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withChanges } from './changed-source.ts'
import type { BlockSource } from './block-source.ts'
import { contractContent, memorySource, testBlockSource } from './testing/mod.ts'

const { signal } = new AbortController()
const CHANGED = [{ offset: 0, length: 8192 }, { offset: 12_288, length: 4096 }]

testBlockSource('a source that knows its changes', () =>
  Promise.resolve(withChanges(memorySource(contractContent()), CHANGED)))

async function listed<T>(items: AsyncIterable<T> | undefined): Promise<readonly T[] | undefined> {
  return items && Array.fromAsync(items)
}

test('a source keeps its zeros beside its changes; one that knows none tells none', async () => {
  const bytes = new Uint8Array(16_384)
  bytes.fill(1, 4096, 16_000)
  const whole = { offset: 0, length: bytes.length }
  const knows = async (source: BlockSource): Promise<unknown> =>
    [await listed(source.extents?.(whole, signal)), await listed(source.changes?.(whole, signal))]
  const extents = [
    { offset: 0, length: 4096, kind: 'zero' }, { offset: 4096, length: 12_288, kind: 'data' }]
  assert.deepEqual(await knows(withChanges(memorySource(bytes), CHANGED)), [extents, CHANGED])
  assert.deepEqual(await knows(withChanges(memorySource(bytes), undefined)), [extents, undefined])
  assert.deepEqual(await knows(withChanges(
    memorySource(bytes, { extentBytes: 'none' }), CHANGED)), [undefined, CHANGED])
})
