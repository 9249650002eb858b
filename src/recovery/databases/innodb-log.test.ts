/** Logs of InnoDB as MariaDB writes them, made here: long records, many rounds, wrong bytes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rawCrc32c, type ImageFile } from '../../disk/mod.ts'
import { followLog, readLogHead, type InnodbLog } from './innodb-log.ts'

const START = 12_288
const CAPACITY = 64 * 1024
const FIRST_LSN = 12_288n

const crc32c = (bytes: Uint8Array): number => ~rawCrc32c(bytes) >>> 0

/** A record of so many bytes behind its first one, its length as `mlog_encode_varint` writes it. */
function record(length: number): Buffer {
  if (length <= 15) return Buffer.concat([Buffer.from([0x30 | length]), Buffer.alloc(length, 1)])
  // The bytes that hold the length count as part of it.
  for (const [bytes, base, mark] of [
    [1, 0, 0], [2, 0x80, 0x80], [3, 0x4080, 0xc0], [4, 0x204080, 0xe0]] as const) {
    const value = length - 15 - base
    if (value < 0 || value >= 2 ** (7 * bytes)) continue
    const head = Buffer.alloc(bytes)
    head.writeUIntBE(value, 0, bytes)
    head[0] = (head[0] ?? 0) | mark
    return Buffer.concat([Buffer.from([0x30]), head, Buffer.alloc(length - bytes, 1)])
  }
  return assert.fail()
}

class Log {
  readonly bytes = Buffer.alloc(START + CAPACITY)
  lsn = FIRST_LSN

  constructor() {
    this.bytes.write('Phys', 0)
    this.bytes.writeBigUInt64BE(FIRST_LSN, 8)
    this.bytes.writeUInt32BE(crc32c(this.bytes.subarray(0, 508)), 508)
    this.checkpoint(4096)
  }

  /** One mini-transaction with records of these lengths. */
  add(...lengths: readonly number[]): this {
    const records = Buffer.concat(lengths.map(record))
    const end = this.lsn + BigInt(records.length)
    const tail = Buffer.alloc(5)
    tail[0] = (end - FIRST_LSN) / BigInt(CAPACITY) % 2n === 0n ? 1 : 0
    tail.writeUInt32BE(crc32c(records), 1)
    for (const byte of Buffer.concat([records, tail])) {
      this.bytes[this.offset(this.lsn)] = byte
      this.lsn++
    }
    return this
  }

  offset(lsn: bigint): number {
    return START + Number((lsn - FIRST_LSN) % BigInt(CAPACITY))
  }

  checkpoint(at: number, lsn = this.lsn): this {
    const block = this.bytes.subarray(at, at + 64)
    block.writeBigUInt64BE(lsn, 0)
    block.writeBigUInt64BE(lsn, 8)
    block.writeUInt32BE(crc32c(block.subarray(0, 60)), 60)
    return this
  }

  get file(): ImageFile {
    return {
      sizeBytes: this.bytes.length,
      read: (offset, length) => Promise.resolve(this.bytes.subarray(offset, offset + length)) }
  }
}

async function head(log: Log): Promise<InnodbLog> {
  const found = await readLogHead(log.file)
  assert.ok(typeof found !== 'string')
  return found
}

async function endOf(log: Log): Promise<readonly [end: bigint, transactions: number]> {
  const found = await followLog(await head(log), log.file, 2 ** 30)
  assert.ok(found !== 'too-long')
  return [found.end, found.transactions]
}

test('mini-transactions are followed, whatever their lengths, round after round', async () => {
  const length = fc.oneof(
    fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 300 }),
    fc.constantFrom(15, 16, 142, 143, 144, 16_527, 16_530))
  await fc.assert(fc.asyncProperty(
    fc.array(fc.array(length, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 }),
    fc.nat({ max: 300 }),
    async (transactions, before) => {
      const log = new Log()
      for (let n = 0; n < before; n++) log.add(500 + n) // several rounds of the file
      log.checkpoint(8192)
      const start = log.lsn
      let count = 0
      for (const lengths of transactions) {
        const room = BigInt(CAPACITY) - (log.lsn - start)
        if (room < BigInt(lengths.reduce((sum, it) => sum + it + 10, 20))) break
        log.add(...lengths)
        count++
      }
      assert.deepEqual(await endOf(log), [log.lsn, count])
    }), { numRuns: 60 })
})

test('a recovery begins at the newest checkpoint whose block is whole', async () => {
  const log = new Log().add(10).checkpoint(8192).add(20)
  assert.equal((await head(log)).checkpoint, FIRST_LSN + 16n)
  log.bytes[8192 + 3] = 1
  assert.equal((await head(log)).checkpoint, FIRST_LSN)
  log.bytes[4096 + 3] = 1
  assert.equal(await readLogHead(log.file), 'damaged')
  log.bytes[0] = 0xd0 // as of one that is encrypted
  assert.equal(await readLogHead(log.file), 'unknown')
})

for (const [what, at] of [
  ['a record', 2], ['the byte of its round', 11], ['its checksum', 13]] as const) {
  test(`the log ends before a mini-transaction with a wrong byte in ${what}`, async () => {
    const log = new Log().add(10)
    const end = log.lsn
    log.add(10).add(10)
    const place = log.offset(end) + at
    log.bytes[place] = (log.bytes[place] ?? 0) ^ 1
    assert.deepEqual(await endOf(log), [end, 1])
  })
}

test('what is left of the round before is no end that was never written', async () => {
  const log = new Log()
  while (log.lsn < FIRST_LSN + BigInt(CAPACITY)) log.add(100)
  log.checkpoint(8192).add(100)
  assert.deepEqual(await endOf(log), [log.lsn, 1])
})
