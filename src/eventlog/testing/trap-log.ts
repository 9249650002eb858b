/** Logs whose parts point at each other, so that a reader that follows them never ends. */

const RECORD_AT = 512
const DEFINITIONS_AT = 4096

/** A log of one chunk with one record, and whatever else lies in the chunk. */
function logOf(record: Buffer, rest: Buffer): Buffer {
  const log = Buffer.alloc(4096 + 65_536)
  log.write('ElfFile\0', 'latin1')
  log.writeUInt16LE(1, 42)
  const chunk = log.subarray(4096)
  chunk.write('ElfChnk\0', 'latin1')
  const length = 24 + record.length + 4
  chunk.writeUInt32LE(RECORD_AT + length, 48)
  chunk.writeUInt32LE(0x2a2a, RECORD_AT)
  chunk.writeUInt32LE(length, RECORD_AT + 4)
  chunk.writeBigUInt64LE(1n, RECORD_AT + 8)
  chunk.writeBigUInt64LE(133_000_000_000_000_000n, RECORD_AT + 16)
  record.copy(chunk, RECORD_AT + 24)
  chunk.writeUInt32LE(length, RECORD_AT + length - 4)
  rest.copy(chunk, DEFINITIONS_AT)
  return log
}

function use(definitionAt: number, values: Buffer = Buffer.alloc(4)): Buffer {
  const bytes = Buffer.alloc(10)
  bytes[0] = 0x0c
  bytes.writeUInt32LE(definitionAt, 6)
  return Buffer.concat([bytes, values])
}

function definition(content: Buffer): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.writeUInt32LE(content.length, 20)
  return Buffer.concat([bytes, content])
}

/** A template that is a part of itself. */
export function endlessTemplate(): Buffer {
  return logOf(use(DEFINITIONS_AT), definition(use(DEFINITIONS_AT)))
}

/** Each template has the next in it eight times: 8 to the power of 20 in all. */
export function doublingTemplates(): Buffer {
  const sizeBytes = 24 + 8 * 14
  const all = Array.from({ length: 20 }, (_, n) => definition(Buffer.concat(
    Array.from({ length: 8 }, () => use(DEFINITIONS_AT + (n + 1) * sizeBytes)))))
  return logOf(use(DEFINITIONS_AT), Buffer.concat(all))
}

/** One text of 25,000 characters, put in two thousand times. */
export function repeatedText(): Buffer {
  const text = Buffer.alloc(50_000, 'a\0')
  const values = Buffer.alloc(8)
  values.writeUInt32LE(1)
  values.writeUInt16LE(text.length, 4)
  values[6] = 1
  const content = Buffer.concat(Array.from({ length: 2000 }, () => Buffer.of(0x0d, 0, 0, 1)))
  const definitionAt = RECORD_AT + 24 + 10
  return logOf(Buffer.concat([
    use(definitionAt, definition(content)), values, text]), Buffer.alloc(0))
}
