import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import {
  goObject, goString, goTime, goTimeMs, goValue, parseGoJson, parseGoTime,
} from './go-json.ts'

const isDamage = (error: unknown): boolean => isFault(error, 'repository-damaged')

test('strings are escaped as Go escapes them', () => {
  const table: readonly (readonly [string, string])[] = [
    ['plain', '"plain"'],
    ['a"b\\c/', '"a\\"b\\\\c/"'],
    ['<a href="x">&', '"\\u003ca href=\\"x\\"\\u003e\\u0026"'],
    ['\n\r\t\b\f', '"\\n\\r\\t\\b\\f"'],
    ['\u0000\u001f\u007f', '"\\u0000\\u001f\u007f"'],
    ['\u2028\u2029', '"\\u2028\\u2029"'],
    ['é世😀\ufffd', '"é世😀\ufffd"'],
    ['a\udcffb', '"a\\ufffdb"'],
    ['\\udcff\udc80', '"\\\\udcff\\ufffd"'],
  ]
  for (const [text, literal] of table) assert.equal(goString(text), literal)
})

test('what is encoded parses to the same value', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    // JSON.parse itself turns -0 into 0 only where it was written so.
    const plain = JSON.parse(JSON.stringify(value)) as unknown
    assert.deepEqual(JSON.parse(goValue(plain)), plain)
  }))
})

test('fields that are undefined are left out, the others keep their order', () => {
  assert.equal(goObject([['b', '1'], ['x', undefined], ['a', '"<"']]), '{"b":1,"a":"<"}')
  assert.equal(goObject([]), '{}')
})

test('integers beyond 2^53 are kept to the last digit, others stay numbers', () => {
  const json = '{"a":18446744073709551615,"b":[9007199254740993,7],' +
    '"c":"18446744073709551615","d":1.5}'
  assert.deepEqual(parseGoJson(Buffer.from(json), 'it', 1000), {
    a: 18_446_744_073_709_551_615n, b: [9_007_199_254_740_993n, 7],
    c: '18446744073709551615', d: 1.5 })
})

test('what is too long, too deep, not UTF-8 or not JSON is refused', () => {
  const parse = (json: string | Uint8Array, maxBytes = 1000): unknown =>
    parseGoJson(Buffer.from(json), 'it', maxBytes)
  assert.deepEqual(parse('[1]', 3), [1])
  assert.throws(() => parse('[1] ', 3), isDamage)
  assert.throws(() => parse('['.repeat(70) + ']'.repeat(70)), isDamage)
  assert.throws(() => parse(Uint8Array.of(0x22, 0xff, 0x22)), isDamage)
  assert.throws(() => parse('\ufeff{}'), isDamage)
  assert.throws(() => parse(''), isDamage)
  assert.throws(() => parse('{"a":1}x'), isDamage)
})

test('times are printed as RFC3339Nano and read to the millisecond', () => {
  const table: readonly (readonly [number, string])[] = [
    [0, '1970-01-01T00:00:00Z'],
    [1_700_000_000_120, '2023-11-14T22:13:20.12Z'],
    [1_700_000_000_007, '2023-11-14T22:13:20.007Z'],
    [1_700_000_010_000, '2023-11-14T22:13:30Z'],
    [-1, '1969-12-31T23:59:59.999Z'],
  ]
  for (const [ms, text] of table) {
    assert.equal(goTime(ms), text)
    assert.equal(goTimeMs(parseGoTime(text, 'it')), ms)
  }
  const finer = parseGoTime('2023-11-14T23:13:20.120999999+01:00', 'it')
  assert.equal(goTimeMs(finer), 1_700_000_000_120)
  assert.equal(goTimeMs(parseGoTime('0000-01-01T00:00:00Z', 'it')), -62_167_219_200_000)
})

test('what is not such a time is refused', () => {
  for (const bad of ['', 'now', '2023-11-14', '2023-11-14T22:13:20',
    '2023-11-14T22:13:20.1234567890Z', '2023-13-14T22:13:20Z',
    '2023-11-14 22:13:20Z', '12023-11-14T22:13:20Z', 5, null]) {
    assert.throws(() => parseGoTime(bad, 'it'), isDamage, String(bad))
  }
  assert.throws(() => goTime(8.64e15), RangeError)
})
