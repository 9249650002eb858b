import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FileId } from '../format/id.ts'
import {
  choosePacks, DEFAULT_MAX_UNUSED, MIN_SMALL_PACKS, SMALL_PACK_BYTES, type MaxUnused, type PackUse,
} from './prune-plan.ts'

const MIB = 1024 * 1024

function pack(use: Partial<PackUse>): PackUse {
  return {
    id: 'a'.repeat(64) as FileId, kind: 'data', sizeBytes: 16 * MIB,
    usedBlobs: 10, usedBytes: 10 * MIB, unusedBlobs: 0, unusedBytes: 0, ...use,
  }
}

const junk = (share: number, more: Partial<PackUse> = {}): PackUse => pack({
  usedBytes: 16 * MIB * (1 - share), unusedBytes: 16 * MIB * share, unusedBlobs: 1, ...more })
const share = (share: number): MaxUnused => ({ kind: 'share', share })

test('what is not needed goes, what is mixed is sorted out, what is all needed stays', () => {
  const packs = [
    pack({}), pack({ usedBlobs: 0, usedBytes: 0, unusedBlobs: 1 }), pack({ kind: 'mixed' })]
  for (const limit of [share(0), DEFAULT_MAX_UNUSED, { kind: 'unlimited' }] as const) {
    assert.deepEqual(choosePacks(packs, limit), ['keep', 'remove', 'repack'])
  }
})

test('of packs with unused parts the most wasteful are copied, until the limit is met', () => {
  const packs = [junk(0.1), junk(0.5), junk(0.3), ...Array.from({ length: 7 }, () => pack({}))]
  const fates = (limit: MaxUnused): string =>
    choosePacks(packs, limit).slice(0, 3).map((fate) => fate[0]).join('')
  assert.equal(fates({ kind: 'unlimited' }), 'kkk')
  assert.equal(fates(share(0.2)), 'kkk')
  assert.equal(fates(share(0.07)), 'krk')
  assert.equal(fates(DEFAULT_MAX_UNUSED), 'krr')
  assert.equal(fates({ kind: 'bytes', bytes: 7 * MIB }), 'krk')
  assert.equal(fates(share(0)), 'rrr')
})

test('trees come first, because every client keeps a copy of them', () => {
  const packs = [junk(0.5), junk(0.1, { kind: 'tree' })]
  assert.deepEqual(choosePacks(packs, { kind: 'bytes', bytes: 9 * MIB }), ['keep', 'repack'])
})

test('small packs are merged once there are many', () => {
  const small = pack({ sizeBytes: SMALL_PACK_BYTES - 1 })
  const many = Array.from({ length: MIN_SMALL_PACKS }, () => small)
  const all = (fate: string): readonly string[] => many.map(() => fate)
  assert.deepEqual(choosePacks(many, share(0)), all('repack'))
  assert.deepEqual(choosePacks(many.slice(1), share(0)), all('keep').slice(1))
  assert.deepEqual(choosePacks(many, { kind: 'unlimited' }), all('keep'))
  const alone = pack({ sizeBytes: 1, kind: 'tree' })
  assert.deepEqual(choosePacks([alone, ...many], share(0)), ['keep', ...all('repack')])
})

const anyPack = fc.record({
  kind: fc.constantFrom('data', 'tree', 'mixed'),
  used: fc.nat(1000), unused: fc.nat(1000), extra: fc.integer({ min: 1, max: 8 * MIB }),
}).map(({ kind, used, unused, extra }) => pack({
  kind, sizeBytes: used + unused + extra,
  usedBlobs: used, usedBytes: used * 10, unusedBlobs: unused, unusedBytes: unused * 10,
}))
const anyLimit = fc.oneof(
  fc.double({ min: 0, max: 0.99, noNaN: true }).map(share),
  fc.nat(100_000).map((bytes): MaxUnused => ({ kind: 'bytes', bytes })),
  fc.constant<MaxUnused>({ kind: 'unlimited' }))

test('whatever the packs: nothing that is needed goes uncopied, and the limit is kept', () => {
  fc.assert(fc.property(fc.array(anyPack, { maxLength: 40 }), anyLimit, (packs, limit) => {
    const fates = choosePacks(packs, limit)
    assert.equal(fates.length, packs.length)
    const usedBytes = packs.reduce((sum, { usedBytes }) => sum + usedBytes, 0)
    let left = 0
    for (const [at, { usedBlobs, unusedBytes }] of packs.entries()) {
      assert.equal(fates[at] === 'remove', usedBlobs === 0)
      if (fates[at] === 'keep') left += unusedBytes
    }
    if (limit.kind === 'bytes') assert.ok(left <= limit.bytes)
    if (limit.kind === 'share') assert.ok(left <= (usedBytes + left) * limit.share + 1e-6)
  }))
})
