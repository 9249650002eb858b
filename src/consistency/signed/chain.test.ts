import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { testSigner } from '../testing/signers.ts'
import { followChain, isWhole, nextPlace, type ChainLink } from './chain.ts'
import { MAX_SEQUENCE } from './statement.ts'

const signer = testSigner().publicKey.fingerprint
const digestOf = (n: number, branch = 0): string => `${branch}`.padStart(4, '0') +
  `${n}`.padStart(60, '0')

function link(sequence: number, changes: Partial<ChainLink> = {}): ChainLink {
  return {
    pointId: `p${sequence}`, sequence, digest: digestOf(sequence),
    previous: sequence === 1 ? null : digestOf(sequence - 1), standing: 'present', signer,
    ...changes,
  }
}

const whole = [1, 2, 3, 4, 5].map((n) => link(n))
const without = (...numbers: number[]): ChainLink[] =>
  whole.filter(({ sequence }) => !numbers.includes(sequence))
const report = (links: readonly ChainLink[], start = link(5)): unknown => followChain(links, start)

suite('a chain', () => {
  const cases: readonly [string, readonly ChainLink[], object][] = [
    ['is whole', whole, { present: 5, forgotten: 0, missing: [], forked: [] }],
    ['does not mind copies', [...whole, ...whole], {
      present: 5, forgotten: 0, missing: [], forked: [] }],
    ['lacks a link', without(3), {
      present: 4, forgotten: 0, missing: [{ from: 3, to: 3 }], forked: [] }],
    ['lacks its beginning', without(1, 2), {
      present: 3, forgotten: 0, missing: [{ from: 1, to: 2 }], forked: [] }],
    ['lacks all but the last', without(1, 2, 3, 4), {
      present: 1, forgotten: 0, missing: [{ from: 1, to: 4 }], forked: [] }],
    ['knows what was forgotten', [...without(2, 3),
      link(2, { standing: 'forgotten' }), link(3, { standing: 'forgotten' })], {
      present: 3, forgotten: 2, missing: [], forked: [] }],
    ['counts what is there although it was to be forgotten', [...whole,
      link(2, { standing: 'forgotten' })], {
      present: 5, forgotten: 0, missing: [], forked: [] }],
    ['is not closed by a record of completion', [...without(3),
      link(3, { standing: 'witnessed' })], {
      present: 4, forgotten: 0, missing: [{ from: 3, to: 3 }], forked: [] }],
    ['forks', [...whole, link(3, { digest: digestOf(3, 1) })], {
      present: 5, forgotten: 0, missing: [], forked: [3] }],
    ['has one exchanged', [...without(3), link(3, { digest: digestOf(3, 1) })], {
      present: 4, forgotten: 0, missing: [{ from: 3, to: 3 }], forked: [3] }],
    ['leaves out what came later', [...whole, link(6), link(8)], {
      present: 5, forgotten: 0, missing: [], forked: [] }],
    ['has gaps that touch a witness', [link(3, { standing: 'witnessed' })], {
      present: 1, forgotten: 0, missing: [{ from: 1, to: 4 }], forked: [] }],
  ]
  for (const [name, links, expected] of cases) {
    test(name, () => assert.deepEqual(report(links), expected))
  }

  test('a number beyond reason costs no time', () => {
    const start = link(1_000_000_000)
    assert.deepEqual(followChain(whole, start).missing, [{ from: 6, to: 999_999_999 }])
  })

  test('any link taken away without a tombstone shows, whatever is left', () => {
    fc.assert(fc.property(
      fc.integer({ min: 2, max: 30 }), fc.infiniteStream(fc.nat(3)), (length, fates) => {
        const links = Array.from({ length }, (_, at) => link(at + 1))
        const start = link(length)
        const left = links.flatMap((it): ChainLink[] => {
          const fate = it.sequence === length ? 0 : fates.next().value
          return fate === 3 ? [] : [{ ...it, standing: fate === 2 ? 'forgotten' : 'present' }]
        })
        const gone = length - left.length
        const found = followChain(left, start)
        assert.equal(found.missing.reduce((sum, { from, to }) => sum + to - from + 1, 0), gone)
        assert.equal(found.present + found.forgotten, left.length)
        assert.equal(isWhole(found), gone === 0)
      }), { numRuns: 500 })
  })
})

suite('the next place', () => {
  test('follows the highest link, there or forgotten', () => {
    assert.deepEqual(nextPlace([]), { sequence: 1, previous: null })
    assert.deepEqual(nextPlace(whole), { sequence: 6, previous: digestOf(5) })
    assert.deepEqual(nextPlace([link(7, { standing: 'forgotten' }), ...whole]),
      { sequence: 8, previous: digestOf(7) })
    assert.deepEqual(nextPlace([...whole, link(9, { standing: 'witnessed' })]),
      { sequence: 10, previous: digestOf(9) })
  })

  test('is never beyond the last number there is', () => {
    assert.deepEqual(nextPlace([link(MAX_SEQUENCE)]), { sequence: 1, previous: null })
    assert.equal(nextPlace([link(MAX_SEQUENCE), ...whole]).sequence, 6)
  })
})
