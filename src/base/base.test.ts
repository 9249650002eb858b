import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { causesOf, Fault, isFault } from './fault.ts'
import { parseJson } from './json.ts'
import { openLog } from './open-log.ts'
import { seededRandom, systemRandom, uuid } from './random.ts'
import { Secret } from './secret.ts'
import { formatBytes, formatMs, printable, printableJson } from './text.ts'

test('a fault carries code, retry, advice, cause and the exit code of the table', () => {
  const cause = new Error('connection refused')
  const fault = new Fault('wrong-password', 'no key opens', { cause, advice: 'Try another.' })
  assert.deepEqual(
    [fault.code, fault.retry, fault.advice, fault.cause, fault.exitCode],
    ['wrong-password', 'never', 'Try another.', cause, 12])
  assert.ok(isFault(fault) && isFault(fault, 'locked', 'wrong-password'))
  assert.ok(!isFault(fault, 'locked') && !isFault(cause))
  assert.deepEqual(causesOf(fault), ['no key opens', 'connection refused'])
})

test('a chain of causes that never ends is cut', () => {
  const error = new Error('a')
  error.cause = new Error('b', { cause: error })
  assert.equal(causesOf(error).length, 8)
})

test('a secret shows in no way of printing', () => {
  const secret = new Secret('hunter2')
  const lines: string[] = []
  const log = openLog('info', { write: (line) => { lines.push(line) } })
  log.info('opened', { password: secret, nested: { secret } })
  const shown = [String(secret), JSON.stringify({ secret }), inspect(secret), ...lines].join('')
  assert.ok(!shown.includes('hunter2'))
  assert.ok(lines[0]?.includes('"password":"***"'))
  assert.equal(secret.reveal(), 'hunter2')
})

test('a log line is one JSON object with level, time and event', () => {
  const lines: string[] = []
  const log = openLog('info', { write: (line) => { lines.push(line) } }).with({ point: 'p1' })
  log.debug('hidden')
  log.warn('no-freeze', { heldMs: 3 })
  assert.equal(lines.length, 1)
  const { time, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/)
  assert.deepEqual(rest, { level: 'warn', point: 'p1', heldMs: 3, event: 'no-freeze' })
})

test('text for a terminal holds nothing the terminal could act on', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    const shown = printable(text)
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(shown, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  }))
  assert.equal(printable('a\u001b[31mb'), 'a\\x1b[31mb')
  assert.equal(printable('x'.repeat(9), 4), 'xxxx…')
})

test('sizes and durations are read at a glance', () => {
  const sizes = [[0, '0 B'], [1023, '1023 B'], [1536, '1.5 KiB'], [4 * 2 ** 30, '4.0 GiB']] as const
  for (const [bytes, text] of sizes) assert.equal(formatBytes(bytes), text)
  const times = [
    [3.21, '3.2 ms'], [38.4, '38 ms'], [4100, '4.1 s'], [192_000, '3 min 12 s'],
    [7_260_000, '2 h 1 min'],
  ] as const
  for (const [ms, text] of times) assert.equal(formatMs(ms), text)
})

test('JSON from outside is bounded in size and depth and never echoed', () => {
  assert.deepEqual(parseJson('{"a":["]["]}', 'x', 'agent-protocol'), { a: [']['] })
  const limits = { maxBytes: 20, maxDepth: 3 }
  const bad = ['x'.repeat(21), '[[[[]]]]', '{"a":', new Uint8Array([0x22, 0xff, 0x22])]
  for (const text of bad) {
    assert.throws(() => parseJson(text, 'the reply', 'agent-protocol', limits), (error) =>
      isFault(error, 'agent-protocol') && error.message.startsWith('the reply'))
  }
})

test('UUIDs are version 4 and differ; seeded bytes repeat', () => {
  const version4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  assert.match(uuid(systemRandom), version4)
  assert.notEqual(uuid(systemRandom), uuid(systemRandom))
  assert.deepEqual(seededRandom(7)(33), seededRandom(7)(33))
  assert.notDeepEqual(seededRandom(7)(33), seededRandom(8)(33))
})

test('JSON for a screen has no control characters and says the same', () => {
  const value = { name: '\u009b31m\u001b[2J\u202e\u200f\u007f\ufeff', text: 'a\n\u2028b "\\' }
  const json = printableJson(JSON.stringify(value))
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(json, /[^\u0020-\u007e]/)
  assert.deepEqual(JSON.parse(json), value)
})
