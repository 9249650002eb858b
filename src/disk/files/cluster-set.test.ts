import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isZero } from '../../base/zero.ts'
import { contractContent, memorySource, testBlockSource } from '../testing/mod.ts'
import { ClusterSet } from './cluster-set.ts'
import { usedSource } from './used-source.ts'

test('runs, questions and removals are those of a list of bits', () => {
  const bits = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 100 })), { maxLength: 8 })
  fc.assert(fc.property(bits, fc.nat(700), fc.nat(700), (pieces, a, b) => {
    const model = pieces.flatMap(([isIn, length]) => Array<boolean>(length).fill(isIn))
    const set = new ClusterSet(model.length)
    const { bytes } = set
    for (const [at, isIn] of model.entries()) {
      if (isIn) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | 1 << (at & 7)
    }
    const [from, end] = [Math.min(a, b, model.length), Math.min(Math.max(a, b), model.length)]
    const told = (): boolean[] => [...set.runs(0, model.length)].flatMap((run) =>
      Array<boolean>(run.end - run.from).fill(run.isIn))
    assert.deepEqual(told(), model)
    assert.equal(set.count(from, end), model.slice(from, end).filter(Boolean).length)
    assert.equal(set.hasAll(from, end), model.slice(from, end).every(Boolean))
    set.delete(from, end)
    assert.deepEqual(told(), model.fill(false, from, end))
  }))
})

/** A third of a cluster lies behind the last. */
const CLUSTER = 1536

testBlockSource('a volume without its free clusters', async () => {
  const content = contractContent()
  const kept = new ClusterSet(Math.floor(content.length / CLUSTER) - 1)
  const { bytes } = kept
  for (let at = 0; at < kept.clusters; at++) {
    const cluster = content.subarray(at * CLUSTER, (at + 1) * CLUSTER)
    if (!isZero(cluster)) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | 1 << (at & 7)
  }
  return usedSource(memorySource(content, { extentBytes: 'none' }),
    { state: 'known', clusterBytes: CLUSTER, kept, keptClusters: 0, leftOut: [], isLookCut: false })
})
