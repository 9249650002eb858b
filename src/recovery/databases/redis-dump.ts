/** A dump of Redis (RDB): its heading, and the checksum over all of it at its end. */

/** Bytes of the heading that are looked through: the first entries say when it was made. */
export const DUMP_HEAD_BYTES = 512

const [TABLE_LOW, TABLE_HIGH] = makeTables()

/** CRC-64 of Redis (its source, src/crc64.c): "Jones", reflected, from 0. */
export class Crc64 {
  #low = 0
  #high = 0

  push(bytes: Uint8Array): void {
    let [low, high] = [this.#low, this.#high]
    for (const byte of bytes) {
      const at = (low ^ byte) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ (TABLE_LOW[at] ?? 0)
      high = (high >>> 8) ^ (TABLE_HIGH[at] ?? 0)
    }
    [this.#low, this.#high] = [low, high]
  }

  get value(): bigint {
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0)
  }
}

function makeTables(): readonly [Int32Array, Int32Array] {
  const low = new Int32Array(256)
  const high = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let value = BigInt(byte)
    for (let bit = 0; bit < 8; bit++) {
      value = (value & 1n) === 1n ? (value >> 1n) ^ 0x95ac9329ac4bc9b5n : value >> 1n
    }
    low[byte] = Number(BigInt.asIntN(32, value))
    high[byte] = Number(BigInt.asIntN(32, value >> 32n))
  }
  return [low, high]
}

export function isDump(head: Buffer): boolean {
  return /^REDIS\d{4}/.test(head.toString('latin1', 0, 9))
}

/**
 * When it was begun, in seconds since 1970; undefined if that is not among its first entries. The
 * entry `ctime` has an integer of 32 bits as its value (src/rdb.c, `rdbSaveInfoAuxFields`).
 */
export function dumpTime(head: Buffer): number | undefined {
  const at = head.indexOf('\u00fa\u0005ctime\u00c2', 0, 'latin1')
  return at < 0 || at + 12 > head.length ? undefined : head.readInt32LE(at + 8)
}

/** The byte before the checksum ends the dump; a checksum of 0 says that none was made. */
export function whyDumpBroken(
  tail: Buffer, crc: bigint): string | undefined {
  if (tail.length < 9 || tail[tail.length - 9] !== 0xff) return 'it does not end as a dump does'
  const stored = tail.readBigUInt64LE(tail.length - 8)
  return stored === 0n || stored === crc ? undefined : 'its checksum is wrong'
}
