import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isJsonObject } from './json.ts'

test('a JSON object is neither null, an array nor a plain value', () => {
  const rows: readonly (readonly [unknown, boolean])[] = [
    [{}, true], [{ a: 1 }, true], [null, false], [[], false], ['{}', false], [1, false],
    [undefined, false],
  ]
  for (const [value, expected] of rows) assert.equal(isJsonObject(value), expected)
})
