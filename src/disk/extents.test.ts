import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { alignRangesOutward, dataRanges, mergeExtents, mergeRanges } from './extent-stream.ts'
import {
  clip, complement, intersect, normalise, subtract, totalLength, type Extent, type Range,
} from './extents.ts'

/** The naive model: one byte for each byte of a small disk. */
const SIZE = 64

function bytesOf(ranges: Iterable<Range>): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  for (const { offset, length } of ranges) bytes.fill(1, offset, offset + length)
  return bytes
}

function rangesOf(bytes: Uint8Array): Range[] {
  const ranges: Range[] = []
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] === 0) at++
    else {
      let end = at
      while (bytes[end] === 1) end++
      ranges.push({ offset: at, length: end - at })
      at = end
    }
  }
  return ranges
}

const combine = (a: Uint8Array, b: Uint8Array, keep: (x: number, y: number) => boolean): Range[] =>
  rangesOf(a.map((x, i) => (keep(x, b[i] ?? 0) ? 1 : 0)))

const anyRange = fc.record({ offset: fc.nat(SIZE), length: fc.nat(SIZE) })
  .map(({ offset, length }) => ({ offset, length: Math.min(length, SIZE - offset) }))
const anyRanges = fc.array(anyRange, { maxLength: 8 })
const rangeSet = anyRanges.map((ranges) => normalise(ranges))

function holds<T extends [unknown, ...unknown[]]>(
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  check: (...values: T) => void | Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty<T>(...arbitraries, async (...values) => {
    await check(...values)
  })
  return fc.assert(property, { numRuns: 300 })
}

const all = <T>(stream: AsyncIterable<T>): Promise<T[]> => Array.fromAsync(stream)

test('normalise gives the one range set of the bytes', async () => {
  await holds(
    [anyRanges], (ranges) => assert.deepEqual(normalise(ranges), rangesOf(bytesOf(ranges))))
})

test('intersection and difference agree with bytes', async () => {
  await holds([rangeSet, rangeSet], (a, b) => {
    const [x, y] = [bytesOf(a), bytesOf(b)]
    assert.deepEqual(intersect(a, b), combine(x, y, (p, q) => p + q === 2))
    assert.deepEqual(subtract(a, b), combine(x, y, (p, q) => p === 1 && q === 0))
  })
})

test('complement and clip agree with bytes', async () => {
  await holds([rangeSet, anyRange], (a, within) => {
    const [x, y] = [bytesOf(a), bytesOf([within])]
    assert.deepEqual(complement(a, within), combine(x, y, (p, q) => p === 0 && q === 1))
    assert.deepEqual(clip(a, within), combine(x, y, (p, q) => p === 1 && q === 1))
    assert.equal(totalLength(clip(a, within)) + totalLength(complement(a, within)), within.length)
  })
})

test('aligning outward gives every touched chunk whole, up to the end of the disk', async () => {
  await holds([rangeSet, fc.integer({ min: 1, max: 20 })], async (a, chunk) => {
    const bytes = bytesOf(a)
    const touched = bytes.map((_, i) => {
      const start = i - (i % chunk)
      return bytes.subarray(start, start + chunk).includes(1) ? 1 : 0
    })
    assert.deepEqual(await all(alignRangesOutward(a, chunk, SIZE)), rangesOf(touched))
  })
})

test('merged extents cover the same bytes with the same kinds and alternate', async () => {
  const anyParts = fc.array(fc.tuple(fc.nat(5), fc.boolean()), { maxLength: 20 })
  await holds([anyParts, fc.nat(9)], async (parts, start) => {
    let at = start
    const extents = parts.map(([length, isData]): Extent => {
      const extent: Extent = { offset: at, length, kind: isData ? 'data' : 'zero' }
      at += length
      return extent
    })
    const merged = await all(mergeExtents(extents, { offset: start, length: at - start }))
    const spell = (list: readonly Extent[]): string =>
      list.map(({ kind, length }) => (kind === 'data' ? 'D' : 'z').repeat(length)).join('')
    assert.equal(spell(merged), spell(extents))
    assert.ok(merged.every((extent, i) => extent.kind !== merged[i + 1]?.kind && extent.length > 0))
    const data = extents.filter((extent) => extent.kind === 'data')
    assert.deepEqual(await all(dataRanges(extents)), normalise(data))
  })
})

test('touching ranges of a stream are joined and empty ones left out', async () => {
  const ranges = [{ offset: 0, length: 4 }, { offset: 4, length: 0 }, { offset: 4, length: 1 },
    { offset: 9, length: 1 }]
  assert.deepEqual(
    await all(mergeRanges(ranges)), [{ offset: 0, length: 5 }, { offset: 9, length: 1 }])
})

for (const [name, ranges] of [
  ['out of order', [{ offset: 8, length: 1 }, { offset: 2, length: 1 }]],
  ['overlapping', [{ offset: 0, length: 4 }, { offset: 3, length: 4 }]],
  ['repeated', [{ offset: 0, length: 4 }, { offset: 0, length: 4 }]],
  ['negative', [{ offset: -1, length: 4 }]],
  ['of negative length', [{ offset: 8, length: -4 }]],
  ['past the safe integers', [{ offset: Number.MAX_SAFE_INTEGER, length: 4 }]],
  ['not numbers', [{ offset: Number.NaN, length: 4 }]],
] satisfies [string, Range[]][]) {
  test(`a stream of ranges ${name} is refused`, async () => {
    const within = { offset: 0, length: 64 }
    const fault = { code: 'disk-unreadable' }
    await assert.rejects(all(mergeRanges(ranges)), fault)
    await assert.rejects(all(alignRangesOutward(ranges, 4, 64)), fault)
    await assert.rejects(
      all(mergeExtents(ranges.map((range) => ({ ...range, kind: 'data' })), within)), fault)
  })
}

test('extents with a gap, or that end early or late, are refused', async () => {
  const range = { offset: 0, length: 10 }
  for (const extents of [
    [], [{ offset: 0, length: 9, kind: 'data' }], [{ offset: 0, length: 11, kind: 'data' }],
    [{ offset: 0, length: 4, kind: 'data' }, { offset: 5, length: 5, kind: 'zero' }],
  ] satisfies Extent[][]) {
    await assert.rejects(all(mergeExtents(extents, range)), { code: 'disk-unreadable' })
  }
})
