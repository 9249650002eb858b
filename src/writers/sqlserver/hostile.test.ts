/** The writer of SQL Server against stubs that lie, hang and flood. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { systemRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import { STUB_LOGIN, StubSqlServer, type StubReply } from '../testing/stub-sql-server.ts'
import { done, table } from '../testing/stub-tds.ts'
import { parseAnswer } from './tds-answer.ts'
import { MessageReader, packetsOf } from './tds-packets.ts'
import { agreesToEncrypt } from './tds-requests.ts'
import { sqlServerWriter, type SqlServerLimits } from './writer.ts'

const never = new AbortController().signal
const SHORT_MS = 300
const LONG_MS = 60_000

/** What comes of a preparation that gets `reply` as the server's version. */
async function prepareWith(
  reply: StubReply, limits: Partial<SqlServerLimits> = {}): Promise<unknown> {
  await using stub = await StubSqlServer.start()
  const writer = sqlServerWriter({
    clock: systemClock, random: systemRandom, procRoot: stub.host.procRoot,
    login: { user: STUB_LOGIN.user, password: new Secret(STUB_LOGIN.password) },
    limits: { connectMs: LONG_MS, askMs: LONG_MS, ...limits } })
  const [application] = await writer.discover(never)
  assert.ok(application !== undefined)
  stub.override = (sql) => sql.includes('ProductVersion') ? reply : undefined
  const prepared = await writer.prepare(application, never).catch((error: unknown) => error)
  if (prepared !== null && typeof prepared === 'object' && Symbol.asyncDispose in prepared) {
    throw new Error('it was believed')
  }
  while (stub.sessions.size > 0) await systemClock.sleep(5, never)
  return prepared
}

const bytes = (...parts: readonly (number | Uint8Array)[]): StubReply => ({
  bytes: Buffer.concat(parts.map((it) => typeof it === 'number' ? Buffer.of(it) : it)) })

suite('a SQL Server that is not what it seems, as a stub', () => {
  const rows = table([{ version: '16.0' }])
  const bad: readonly (readonly [string, StubReply])[] = [
    ['floods', bytes(Buffer.alloc(9_000_000, 0xd1))],
    ['answers rows without end', bytes(0x81, Buffer.of(0, 0), Buffer.alloc(1_000_000, 0xd1))],
    ['ends too soon', bytes(rows.subarray(0, 40))],
    ['uses a token of no meaning', bytes(0x00, rows)],
    ['answers in another type', bytes(
      0x81, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0x26, 4]), done())],
    ['answers in a text without end', bytes(0x81, Buffer.from(
      [1, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0xff, 0xff, 0, 0, 0, 0, 0, 0]), done())],
    ['promises sixty thousand columns', bytes(0x81, Buffer.of(0x60, 0xea), Buffer.alloc(500))],
    ['says nothing', { rows: [] }],
    ['says it twice', { rows: [{ version: '16.0' }, { version: '16.0' }] }],
    ['says null', { rows: [{ version: null }] }],
    ['is of no version', { rows: [{ version: '\u001b[2Jsixteen' }] }],
    ['calls its column by the name of something else', { rows: [{ __proto__x: '16.0' }] }],
    ['hangs up', 'hang up'],
  ]
  for (const [what, reply] of bad) {
    test(`one that ${what} is refused, and nothing stays open`, async () => {
      const error = await prepareWith(reply)
      assert.ok(isFault(error, 'writer-failed'), String(error))
      assert.equal(error.message.includes('\u001b'), false)
    })
  }

  test('one that never answers is given up', async () => {
    const error = await prepareWith('silence', { askMs: SHORT_MS })
    assert.ok(isFault(error, 'writer-timeout'), String(error))
  })
})

suite('bytes of anybody', () => {
  test('are an answer, or a fault', () => {
    const pieces = fc.constantFrom(0x81, 0xd1, 0xd2, 0xaa, 0xab, 0xad, 0xe3, 0xfd, 0xe7, 0, 1, 0xff)
    const anything = fc.oneof(fc.uint8Array({ maxLength: 400 }),
      fc.array(pieces, { maxLength: 200 }).map((it) => Uint8Array.from(it)))
    fc.assert(fc.property(anything, (body) => {
      for (const read of [parseAnswer, agreesToEncrypt]) {
        try {
          read(body)
        } catch (error) {
          assert.ok(isFault(error, 'writer-failed'), String(error))
        }
      }
    }), { numRuns: 2000 })
  })

  test('come out of packets as they went in, however they are cut', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 9000 }), fc.integer({ min: 1, max: 5000 }),
      (body, cut) => {
        const reader = new MessageReader()
        const sent = Buffer.concat([packetsOf(1, body), packetsOf(4, body)])
        const came = []
        for (let at = 0; at < sent.length; at += cut) {
          came.push(...reader.push(sent.subarray(at, at + cut)))
        }
        assert.deepEqual(came.map(({ type, body: it }) => [type, Buffer.compare(it, body)]),
          [[1, 0], [4, 0]])
      }))
  })
})
