/** The values of binary XML as text ([MS-EVEN6] 2.2.12, "Type System"). */

import { isoTime } from '../base/clock.ts'

const ARRAY = 0x80
const STRING = 0x01
const ANSI_STRING = 0x02
/** Days between 1601 and 1970, as milliseconds. */
const EPOCH_MS = 11_644_473_600_000

/** FILETIME: 100 ns since 1601, as milliseconds since 1970. */
export function fileTimeMs(ticks: bigint): number {
  return Number(ticks / 10_000n) - EPOCH_MS
}

/** Of an array its items, else one. A type that is not known, or a short value, gives its bytes. */
export function valueTexts(type: number, bytes: Buffer): readonly string[] {
  if ((type & ARRAY) === 0) return [scalar(type, bytes)]
  const inner = type & ~ARRAY
  if (inner === STRING || inner === ANSI_STRING) {
    const text = bytes.toString(inner === STRING ? 'utf16le' : 'latin1')
    return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0')
  }
  const size = FIXED[inner]?.size
  if (size === undefined) return [bytes.toString('hex')]
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, n) =>
    scalar(inner, bytes.subarray(n * size, (n + 1) * size)))
}

function scalar(type: number, bytes: Buffer): string {
  if (type === STRING) return bytes.toString('utf16le').replace(/\0+$/, '')
  if (type === ANSI_STRING) return bytes.toString('latin1').replace(/\0+$/, '')
  if (type === 0x10) return bytes.length === 8 ? `${bytes.readBigUInt64LE()}` : scalar(0x08, bytes)
  if (type === 0x13) return sidText(bytes)
  const fixed = FIXED[type]
  return fixed === undefined || bytes.length < fixed.size
    ? bytes.toString('hex').toUpperCase() : fixed.text(bytes)
}

interface FixedType {
  readonly size: number
  readonly text: (bytes: Buffer) => string
}

const FIXED: Readonly<Record<number, FixedType>> = {
  0x03: { size: 1, text: (bytes) => `${bytes.readInt8()}` },
  0x04: { size: 1, text: (bytes) => `${bytes.readUInt8()}` },
  0x05: { size: 2, text: (bytes) => `${bytes.readInt16LE()}` },
  0x06: { size: 2, text: (bytes) => `${bytes.readUInt16LE()}` },
  0x07: { size: 4, text: (bytes) => `${bytes.readInt32LE()}` },
  0x08: { size: 4, text: (bytes) => `${bytes.readUInt32LE()}` },
  0x09: { size: 8, text: (bytes) => `${bytes.readBigInt64LE()}` },
  0x0a: { size: 8, text: (bytes) => `${bytes.readBigUInt64LE()}` },
  0x0b: { size: 4, text: (bytes) => `${bytes.readFloatLE()}` },
  0x0c: { size: 8, text: (bytes) => `${bytes.readDoubleLE()}` },
  0x0d: { size: 4, text: (bytes) => bytes.readUInt32LE() === 0 ? 'false' : 'true' },
  0x0f: { size: 16, text: guidText },
  0x11: { size: 8, text: (bytes) => isoTime(fileTimeMs(bytes.readBigUInt64LE())) },
  0x12: { size: 16, text: systemTimeText },
  0x14: { size: 4, text: (bytes) => `0x${bytes.readUInt32LE().toString(16)}` },
  0x15: { size: 8, text: (bytes) => `0x${bytes.readBigUInt64LE().toString(16)}` },
}

function guidText(bytes: Buffer): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
  return `{${hex(bytes.readUInt32LE(0), 8)}-${hex(bytes.readUInt16LE(4), 4)}-` +
    `${hex(bytes.readUInt16LE(6), 4)}-${bytes.toString('hex', 8, 10)}-` +
    `${bytes.toString('hex', 10, 16)}}`.toLowerCase()
}

/** SYSTEMTIME: year, month, day of the week, day, hour, minute, second, millisecond. */
function systemTimeText(bytes: Buffer): string {
  const [year = 0, month = 0, , day = 0, hour = 0, minute = 0, second = 0, ms = 0] =
    Array.from({ length: 8 }, (_, n) => bytes.readUInt16LE(n * 2))
  const two = (value: number): string => `${value}`.padStart(2, '0')
  return `${`${year}`.padStart(4, '0')}-${two(month)}-${two(day)}T` +
    `${two(hour)}:${two(minute)}:${two(second)}.${`${ms}`.padStart(3, '0')}Z`
}

function sidText(bytes: Buffer): string {
  const parts = bytes.length < 8 ? -1 : bytes.readUInt8(1)
  if (parts < 0 || bytes.length < 8 + parts * 4) return bytes.toString('hex').toUpperCase()
  const below = Array.from({ length: parts }, (_, n) => bytes.readUInt32LE(8 + n * 4))
  return ['S', bytes.readUInt8(0), bytes.readUIntBE(2, 6), ...below].join('-')
}
