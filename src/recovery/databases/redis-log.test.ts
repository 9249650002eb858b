/** The append-only file: whole to its end, or the reason; however it comes in pieces. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Crc64, dumpTime, isDump, whyDumpBroken } from './redis-dump.ts'
import { CommandScan, parseManifest } from './redis-log.ts'

const command = (...args: readonly string[]): string =>
  `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`

function scanned(
  text: string, pieces: readonly number[] = []): readonly [string | undefined, number] {
  const scan = new CommandScan()
  const bytes = Buffer.from(text)
  let at = 0
  for (const piece of pieces) scan.push(bytes.subarray(at, at += piece))
  scan.push(bytes.subarray(at))
  return [scan.end(), scan.commands]
}

const set = command('SET', 'a', '1\r\n$5\r\n*9')
type Case = readonly [what: string, text: string, fault: string | undefined, commands: number]
const CASES: readonly Case[] = [
  ['nothing', '', undefined, 0],
  ['commands with line ends inside', set + set, undefined, 2],
  ['a remark of when it was', `#TS:1700000000\r\n${set}`, undefined, 1],
  ['an empty argument', command('SET', 'a', ''), undefined, 1],
  ['a transaction', command('MULTI') + set + command('EXEC'), undefined, 3],
  ['a transaction without its end', command('multi') + set, 'it ends inside a transaction', 2],
  ['a command that is cut', set.slice(0, -1), 'it ends inside a command', 0],
  ['a command without its last argument', set.slice(0, 12), 'it ends inside a command', 0],
  ['zeros behind a command', set + '\0'.repeat(4), 'it ends inside a command', 1],
  ['many zeros', '\0'.repeat(2000), 'it holds something that is no command', 0],
  ['no command', 'GET a\r\n', 'no command begins with "GET a\\r"', 0],
  ['a count of nothing', '*0\r\n', 'no command begins with "*0\\r"', 0],
  ['a length of nonsense', '*1\r\n$-1\r\n', 'a command is damaged', 0],
  ['an argument longer than it says', '*1\r\n$1\r\nabc\r\n', 'a command is damaged', 0],
]

for (const [what, text, fault, commands] of CASES) {
  test(`an append-only file with ${what}`, () => {
    assert.deepEqual(scanned(text), [fault, commands])
  })
}

test('pieces make no difference', () => {
  fc.assert(fc.property(
    fc.constantFrom(...CASES.map(([, text]) => text)),
    fc.array(fc.nat({ max: 20 }), { maxLength: 12 }),
    (text, pieces) => { assert.deepEqual(scanned(text, pieces), scanned(text)) }))
})

test('a manifest lists what a start reads, and nothing outside of its folder', () => {
  assert.deepEqual(parseManifest([
    'file a.aof.2.base.rdb seq 2 type b', 'file a.aof.1.incr.aof seq 1 type h',
    'file a.aof.3.incr.aof seq 3 type i', ''].join('\n')),
  [{ name: 'a.aof.2.base.rdb', kind: 'base' }, { name: 'a.aof.3.incr.aof', kind: 'increment' }])
  for (const bad of ['file ../x seq 1 type b', 'file .. seq 1 type b', 'nonsense',
    'file x seq 1 type b\n'.repeat(65)]) assert.equal(parseManifest(bad), undefined, bad)
})

test('a dump is known by its beginning, its end and its checksum', () => {
  const crc = new Crc64()
  crc.push(Buffer.from('1234'))
  crc.push(Buffer.from('56789'))
  assert.equal(crc.value, 0xe9c6d914c4b8d9can) // the check value in Redis's src/crc64.c
  const tail = Buffer.alloc(9)
  tail[0] = 0xff
  tail.writeBigUInt64LE(crc.value, 1)
  assert.equal(whyDumpBroken(tail, crc.value), undefined)
  assert.equal(whyDumpBroken(tail, 5n), 'its checksum is wrong')
  assert.equal(whyDumpBroken(tail.subarray(1), crc.value), 'it does not end as a dump does')
  const head = Buffer.from('REDIS0010\u00fa\u0005ctime\u00c2\u0001\u0000\u0000\u0000', 'latin1')
  assert.deepEqual([isDump(head), dumpTime(head)], [true, 1])
  assert.deepEqual([isDump(Buffer.from('REDIX')), dumpTime(head.subarray(0, 19))],
    [false, undefined])
})
