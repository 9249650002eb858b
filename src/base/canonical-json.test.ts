import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from './canonical-json.ts'

test('keys are sorted at every depth and nothing is padded', () => {
  assert.equal(
    canonicalJson({ b: [1, { d: null, c: 'x' }], a: true, gone: undefined }),
    '{"a":true,"b":[1,{"c":"x","d":null}]}')
})

test('the order of keys does not matter and nothing is lost', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = canonicalJson(value)
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    assert.equal(canonicalJson(reversed(value)), text)
  }))
})

test('what JSON has no word for is refused', () => {
  for (const value of [Number.NaN, Infinity, [undefined], () => 1, 1n]) {
    assert.throws(() => canonicalJson(value), TypeError)
  }
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).toReversed().map(([key, member]) => [key, reversed(member)]))
}
