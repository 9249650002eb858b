/** Logs of PostgreSQL as it writes them, made here: what real servers leave seldom is among it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rawCrc32c } from '../../disk/mod.ts'
import { followLog, type FollowedLog } from './postgres-log.ts'

const PAGE = 8192
const SEGMENT = 2 ** 20
const SYSTEM = 7n
const START = BigInt(SEGMENT) + 40n

/** A log in memory from its second file on; says where each record began. */
class Log {
  readonly bytes = Buffer.alloc(4 * SEGMENT)
  readonly starts: bigint[] = []
  #at = START
  #previous = 0n

  constructor() {
    this.#page(BigInt(SEGMENT), 0, 0)
  }

  get end(): bigint {
    return this.#at
  }

  /** A record of the manager and kind, with so many bytes; `cut`: no byte of it after that many. */
  add(length: number, { manager = 1, info = 0, cut = Infinity } = {}): this {
    if (this.#at % BigInt(PAGE) === 0n) this.#at = this.#page(this.#at, 0, 0)
    const record = Buffer.alloc(24 + length, 0x5a)
    record.writeUInt32LE(record.length, 0)
    record.writeBigUInt64LE(this.#previous, 8)
    record[16] = info
    record[17] = manager
    record.writeUInt16LE(0, 18)
    const crc = rawCrc32c(record.subarray(0, 20), rawCrc32c(record.subarray(24)))
    record.writeUInt32LE(~crc >>> 0, 20)
    const start = this.#at
    this.#put(record, cut)
    if (cut === Infinity) {
      this.starts.push(start)
      this.#previous = start
    }
    return this
  }

  /** The rest of the file is left alone, as by `pg_switch_wal`. */
  switch(): this {
    this.add(0, { manager: 0, info: 0x40 })
    const size = BigInt(SEGMENT)
    this.#at = (this.#at + size - 1n) / size * size
    return this
  }

  /** The next page says that what began before will never be ended. */
  giveUp(): this {
    const page = BigInt(PAGE)
    this.#at = (this.#at + page - 1n) / page * page
    this.#at = this.#page(this.#at, 8, 0)
    return this
  }

  #put(record: Buffer, cut: number): void {
    for (let done = 0; done < record.length;) {
      const room = PAGE - Number(this.#at % BigInt(PAGE))
      if (room === PAGE) this.#at = this.#page(this.#at, 1, record.length - done)
      const within = PAGE - Number(this.#at % BigInt(PAGE))
      const piece = record.subarray(done, Math.min(done + within, cut))
      if (piece.length === 0) return
      piece.copy(this.bytes, Number(this.#at))
      this.#at += BigInt(piece.length)
      done += piece.length
    }
    this.#at = (this.#at + 7n) & ~7n
  }

  #page(at: bigint, info: number, remaining: number): bigint {
    const isLong = at % BigInt(SEGMENT) === 0n
    const offset = Number(at)
    this.bytes.writeUInt16LE(0xd110, offset)
    this.bytes.writeUInt16LE(info | (isLong ? 2 : 0), offset + 2)
    this.bytes.writeUInt32LE(1, offset + 4)
    this.bytes.writeBigUInt64LE(at, offset + 8)
    this.bytes.writeUInt32LE(remaining, offset + 16)
    if (isLong) this.bytes.writeBigUInt64LE(SYSTEM, offset + 24)
    return at + (isLong ? 40n : 24n)
  }
}

async function follow(
  log: Log, { checkpoint = START, systemId = SYSTEM, maxBytes = 2 ** 30 } = {},
): Promise<FollowedLog | 'too-long'> {
  return followLog({ from: START, checkpoint, segmentBytes: SEGMENT, systemId },
    (segment, offset, length) => {
      const from = Number(segment) * SEGMENT + offset
      return Promise.resolve(from >= log.bytes.length
        ? undefined : log.bytes.subarray(from, from + length))
    }, maxBytes)
}

async function followed(log: Log, checkpoint = START): Promise<FollowedLog> {
  const found = await follow(log, { checkpoint })
  assert.ok(found !== 'too-long')
  return found
}

test('records are followed to the last whole one, whatever their lengths', async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.oneof(fc.nat({ max: 200 }), fc.nat({ max: 3 * PAGE }), fc.constant(PAGE - 48)),
      { minLength: 1, maxLength: 40 }),
    async (lengths) => {
      const log = new Log()
      for (const length of lengths) log.add(length)
      const { end, records, why } = await followed(log)
      assert.deepEqual([end, records], [log.end, lengths.length], why)
    }), { numRuns: 60 })
})

test('a file that was left half-way leads on to the next', async () => {
  const log = new Log().add(100).switch().add(50).switch().add(3 * PAGE)
  const { end, records } = await followed(log)
  assert.deepEqual([end, records], [log.end, 5])
})

test('a record that was given up leads on to the page that says so', async () => {
  const log = new Log().add(100)
  log.add(3 * PAGE, { cut: 2 * PAGE }).giveUp().add(20, { info: 0xd0, manager: 0 }).add(500)
  const { end, records } = await followed(log)
  assert.deepEqual([end, records], [log.end, 3])
})

test('whole pages of a record that is cut were written, and no record ended there', async () => {
  const log = new Log().add(100)
  const before = log.end
  log.add(4 * PAGE, { cut: 2 * PAGE })
  const { end, written, why } = await followed(log)
  assert.deepEqual([end, why], [before, 'the next page was not written'])
  assert.ok(written > before && written % BigInt(PAGE) === 0n, String(written))
})

test('a checkpoint must be where it is looked for', async () => {
  const log = new Log().add(10).add(80, { manager: 0, info: 0x10 }).add(80, { manager: 0 })
  const [first = 0n, online = 0n, shutdown = 0n] = log.starts
  assert.deepEqual([
    (await followed(log, first)).hasCheckpoint, (await followed(log, online)).hasCheckpoint,
    (await followed(log, shutdown)).hasCheckpoint, (await followed(log, online + 8n)).hasCheckpoint,
  ], [false, true, true, false])
})

const SPOILT: readonly (readonly [what: string, at: number, value: number, why: RegExp])[] = [
  ['its checksum', 20, 0xff, /checksum is wrong/],
  ['a byte of it', 30, 0xff, /checksum is wrong/],
  ['its link to the one before', 8, 0xff, /earlier use/],
  ['its length', 3, 0xff, /no record follows/],
]

for (const [what, at, value, why] of SPOILT) {
  test(`the log ends before a record with a wrong byte in ${what}`, async () => {
    const log = new Log().add(100).add(100).add(100)
    const [, second = 0n] = log.starts
    log.bytes[Number(second) + at] = value
    const found = await followed(log)
    assert.equal(found.records, 1)
    assert.match(found.why, why)
    assert.equal(found.end, second)
  })
}

test('another cluster\'s file, a file that is missing, a log beyond the limit', async () => {
  const log = new Log().add(100)
  const found = await follow(log, { systemId: 8n })
  assert.ok(found !== 'too-long')
  assert.deepEqual([found.records, found.why],
    [0, 'the next file of the log is another cluster\'s'])
  const full = new Log()
  while (Number(full.end) < 4 * SEGMENT - 4 * PAGE) full.add(2 * PAGE)
  full.switch()
  const { why, isMissing } = await followed(full)
  assert.deepEqual([why, isMissing], ['the next file of the log is not there', true])
  assert.equal(await follow(full, { maxBytes: SEGMENT }), 'too-long')
})
