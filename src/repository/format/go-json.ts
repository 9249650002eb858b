/**
 * JSON as Go's encoding/json writes it. restic encodes a tree again before it rewrites one and
 * refuses where the bytes differ, so ours must be the same to the byte.
 */

import { isoTime, isoTimeMs } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'

/** A time in RFC 3339 form with 0 to 9 digits of fraction, kept as text so that nothing is lost. */
export type GoTime = string & { readonly form: 'rfc3339' }

const GO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/

/** What Go reads where a time is missing: rustic leaves out those that it does not know. */
export const NO_TIME = '0001-01-01T00:00:00Z' as GoTime

/** Nesting that restic's own files never reach. */
const MAX_JSON_DEPTH = 64

/** `ms` since 1970 in UTC as Go's RFC3339Nano prints it: no zeros at the end of the fraction. */
export function goTime(ms: number): GoTime {
  const text = isoTime(ms)
  if (!GO_TIME.test(text)) throw new RangeError('a time must lie in the years 0 to 9999')
  return text.replace(/\.?0*Z$/, 'Z') as GoTime
}

/** Milliseconds since 1970; finer digits are dropped. */
export function goTimeMs(time: GoTime): number {
  return isoTimeMs(time)
}

export function parseGoTime(value: unknown, what: string): GoTime {
  if (typeof value === 'string' && GO_TIME.test(value) && !Number.isNaN(isoTimeMs(value))) {
    return value as GoTime
  }
  throw new Fault('repository-damaged', `${what} holds something that is not a time`)
}

/**
 * A string literal as Go writes it: with `<`, `>`, `&` and the line separators escaped. A lone
 * surrogate stands for a byte that is not UTF-8 (see node-name.ts) and becomes U+FFFD, as there.
 * Backspace and form feed are short escapes as since Go 1.22; names, being quoted, have neither.
 */
export function goString(text: string): string {
  const literal = JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  if (text.isWellFormed()) return literal
  return literal.replace(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, (part) =>
    part === '\\\\' ? part : '\\ufffd')
}

/** A value of no known shape, its keys in the order they came. */
export function goValue(value: unknown): string {
  if (typeof value === 'string') return goString(value)
  if (Array.isArray(value)) return `[${value.map(goValue).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    return goObject(Object.entries(value).map(([key, field]) => [key, goValue(field)]))
  }
  return String(value)
}

/** An object of fields already encoded, in this order; those that are undefined are left out. */
export function goObject(fields: readonly (readonly [string, string | undefined])[]): string {
  const present = fields.filter((field) => field[1] !== undefined)
  return `{${present.map(([key, literal]) => `${goString(key)}:${literal}`).join(',')}}`
}

/**
 * Values in one file: a folder of half a million entries has as many. Parsing for large integers
 * takes three times the memory, so it may have half of them.
 */
const MAX_VALUES = 8_000_000
const MAX_VALUES_WITH_BIG_INTEGERS = 4_000_000

/**
 * Parses JSON of at most `maxBytes`; integers beyond 2^53 become bigints, where JSON.parse alone
 * would round them. Fault: `repository-damaged`, naming `what`.
 */
export function parseGoJson(bytes: Uint8Array, what: string, maxBytes: number): unknown {
  const limits = { maxBytes, maxDepth: MAX_JSON_DEPTH }
  if (bytes.length > maxBytes) return parseJson(bytes, what, 'repository-damaged', limits)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new Fault('repository-damaged', `${what} is not UTF-8`, { cause })
  }
  const hasBigIntegers = /[:[,]\s*-?\d{16}/.test(text)
  const maxValues = Math.min(
    Math.max(65_536, bytes.length / 8), hasBigIntegers ? MAX_VALUES_WITH_BIG_INTEGERS : MAX_VALUES)
  const value = parseJson(text, what, 'repository-damaged', { ...limits, maxValues })
  return hasBigIntegers ? parseWithBigIntegers(text) : value
}

function parseWithBigIntegers(text: string): unknown {
  const revive = (_key: string, value: unknown, { source = '' }: { source?: string }): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown) as unknown
}

/** The object that `value` is, or a `repository-damaged` Fault naming `what`. */
export function parseObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>
  }
  throw new Fault('repository-damaged', `${what} is not an object`)
}

/** The array that `value` is, or a `repository-damaged` Fault naming `what`. */
export function parseArray(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new Fault('repository-damaged', `${what} is not a list`)
}
