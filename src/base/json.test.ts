import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from './fault.ts'
import { isJsonObject, parseJson } from './json.ts'

test('a JSON object is neither null, an array nor a plain value', () => {
  const rows: readonly (readonly [unknown, boolean])[] = [
    [{}, true], [{ a: 1 }, true], [null, false], [[], false], ['{}', false], [1, false],
    [undefined, false],
  ]
  for (const [value, expected] of rows) assert.equal(isJsonObject(value), expected)
})

test('JSON is refused exactly where it is nested deeper than allowed', () => {
  const depthOf = (value: unknown): number => typeof value === 'object' && value !== null
    ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
  const text = fc.stringMatching(/^[[\]{}"\\,:a]*$/)
  const { value: anyJson } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 6 }, text,
      fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(text, tie('value'), { maxKeys: 3 })),
  }))
  fc.assert(fc.property(anyJson, fc.integer({ min: 0, max: 6 }), (value, maxDepth) => {
    const json = JSON.stringify(value)
    const parse = (): unknown =>
      parseJson(json, 'it', 'config-invalid', { maxBytes: 1e6, maxDepth })
    if (depthOf(value) <= maxDepth) assert.deepEqual(parse(), JSON.parse(json))
    else assert.throws(parse, (error) => isFault(error, 'config-invalid'))
  }))
})

test('JSON of more values than memory is meant for is refused', () => {
  const limits = { maxBytes: 1e7, maxDepth: 8 }
  const parse = (json: string, maxValues?: number): unknown => parseJson(json, 'it',
    'config-invalid', { ...limits, ...(maxValues === undefined ? {} : { maxValues }) })
  const list = (item: string, count: number): string => `[${Array(count).fill(item).join(',')}]`
  assert.equal((parse(list('1', 60_000)) as unknown[]).length, 60_000)
  assert.equal((parse(list('"12345678"', 500_000)) as unknown[]).length, 500_000)
  for (const item of ['{}', '[]', '1', '""']) {
    assert.throws(() => parse(list(item, 500_000)), { code: 'config-invalid' }, item)
  }
  assert.equal((parse(list('"a,b"', 4), 5) as unknown[]).length, 4)
  assert.throws(() => parse(list('"a,b"', 5), 5), { code: 'config-invalid' })
})

test('JSON that is cut within a string, or an escape, is refused', () => {
  for (const json of ['"', '"\\', '"\\"', '{"a', '["\\\\\\"]']) {
    assert.throws(() => parseJson(json, 'it', 'config-invalid'), (error) =>
      isFault(error, 'config-invalid'), json)
  }
})
