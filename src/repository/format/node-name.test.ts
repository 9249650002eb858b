import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import {
  checkName, compareNames, nameBytes, nameFromBytes, quoteName, unquoteName,
} from './node-name.ts'

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => new TextEncoder().encode(text)),
)

test('a name keeps all bytes, UTF-8 or not', () => {
  fc.assert(fc.property(bytes, (name) => {
    assert.deepEqual(new Uint8Array(nameBytes(nameFromBytes(name))), name)
  }), { numRuns: 500 })
})

test('what is quoted is unquoted to the same name, and is ASCII or printable', () => {
  fc.assert(fc.property(bytes, (raw) => {
    const name = nameFromBytes(raw)
    const quoted = quoteName(name)
    assert.ok(quoted.isWellFormed())
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(quoted, /[\u0000-\u001f\u007f]/)
    assert.equal(unquoteName(quoted, 'it'), name)
  }), { numRuns: 500 })
})

test('names are in the order of their bytes', () => {
  fc.assert(fc.property(bytes, bytes, (a, b) => {
    const order = compareNames(nameFromBytes(a), nameFromBytes(b))
    assert.equal(Math.sign(order), Buffer.compare(a, b))
  }), { numRuns: 500 })
  assert.ok(compareNames('\uffff', '\u{10000}') < 0) // UTF-16 would have them the other way round
})

test('names are quoted as strconv.Quote does', () => {
  // Each row as printed by Go for the bytes of the left side.
  const table: readonly (readonly [string | Uint8Array, string])[] = [
    ['plain-name_1.raw', 'plain-name_1.raw'],
    ['with space', 'with space'],
    ['a"b\\c', 'a\\"b\\\\c'],
    ["it's", "it's"],
    ['\u0000\u0001\u001f\u007f', '\\x00\\x01\\x1f\\x7f'],
    ['\u0007\b\f\n\r\t\v', '\\a\\b\\f\\n\\r\\t\\v'],
    ['grüße 世界 😀', 'grüße 世界 😀'],
    ['\u0080\u00a0\u00ad', '\\u0080\\u00a0\\u00ad'],
    ['\u2028\u200b\u3000\ufeff', '\\u2028\\u200b\\u3000\\ufeff'],
    ['\ue000\u{f0000}\u{e0001}', '\\ue000\\U000f0000\\U000e0001'],
    ['\ufffd', '\ufffd'],
    [Uint8Array.of(0x66, 0xff, 0xc3, 0x28, 0xe2, 0x82), 'f\\xff\\xc3(\\xe2\\x82'],
    [Uint8Array.of(0xed, 0xb2, 0x80), '\\xed\\xb2\\x80'], // a surrogate is no UTF-8
    [Uint8Array.of(0xc0, 0xaf, 0xf5), '\\xc0\\xaf\\xf5'], // nor is an overlong form
  ]
  for (const [input, quoted] of table) {
    const name = typeof input === 'string' ? input : nameFromBytes(input)
    assert.equal(quoteName(name), quoted)
    assert.equal(unquoteName(quoted, 'it'), name)
  }
})

test('escapes that Go reads and does not write are read too', () => {
  assert.equal(unquoteName('\\x61\\141\\u0062\\U00000063', 'it'), 'aabc')
  assert.equal(unquoteName('\\xc3\\xA9', 'it'), 'é')
})

test('what is not quoted correctly is refused', () => {
  const table = ['"', 'a"b', '\\', 'a\\', '\\q', "\\'", '\\x', '\\x1', '\\xg0', '\\u12', '\\ud800',
    '\\U00110000', '\\400', '\\1', 'a\nb', '\ud800', '\udc80']
  for (const quoted of table) {
    assert.throws(
      () => unquoteName(quoted, 'it'), (error) => isFault(error, 'repository-damaged'), quoted)
  }
})

test('names that could lead out of a directory are refused', () => {
  for (const name of ['', '.', '..', '/', 'a/b', '/etc', 'a\0b']) {
    assert.throws(
      () => checkName(name, 'it'), (error) => isFault(error, 'repository-damaged'), name)
  }
  for (const name of ['...', '.a', 'a\\b', '~', ' ']) checkName(name, 'it')
})
