/** JSON from outside: bounded in size, depth and number of values before anything looks at it. */

import { Fault, type FaultCode } from './fault.ts'

export interface JsonLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  /**
   * Objects, lists and their entries; by default what a text of an entry in every eight bytes has,
   * and at least 65 536. Each takes some hundred bytes once parsed, in the text only one.
   */
  readonly maxValues?: number
}

const MIN_MAX_VALUES = 65_536
const LEAST_BYTES_A_VALUE = 8

const DEFAULT_JSON_LIMITS: JsonLimits = { maxBytes: 4 * 1024 * 1024, maxDepth: 64 }

/**
 * Parses UTF-8 JSON. A text over the limits, not UTF-8 or not JSON is a Fault of `code` that
 * names `what`; nothing of the text is echoed.
 */
export function parseJson(
  bytes: Uint8Array | string,
  what: string,
  code: FaultCode,
  limits: JsonLimits = DEFAULT_JSON_LIMITS,
): unknown {
  const size = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
  if (size > limits.maxBytes) {
    throw new Fault(code, `${what} is ${size} bytes long, more than the ${limits.maxBytes} allowed`)
  }
  try {
    const text =
      typeof bytes === 'string' ? bytes : new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    const { depth, values } = shapeOf(text)
    if (depth > limits.maxDepth) throw new Error(`nested deeper than ${limits.maxDepth}`)
    const maxValues = limits.maxValues ?? Math.max(MIN_MAX_VALUES, size / LEAST_BYTES_A_VALUE)
    if (values > maxValues) throw new Error(`it has ${values} values, over ${maxValues}`)
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new Fault(code, `${what} is not valid JSON`, { cause })
  }
}

/** The deepest nesting of brackets outside strings, and a bound on the number of values. */
function shapeOf(text: string): { readonly depth: number; readonly values: number } {
  let depth = 0
  let deepest = 0
  let values = 1
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === 0x22) i = endOfString(text, i)
    else if (char === 0x2c) values++
    else if (char === 0x7b || char === 0x5b) {
      deepest = Math.max(deepest, ++depth)
      values++
    } else if (char === 0x7d || char === 0x5d) depth--
  }
  return { depth: deepest, values }
}

/** Where the string begun at `start` ends; searched for, as a large JSON is mostly strings. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

/** True for a JSON object: neither null nor an array. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
