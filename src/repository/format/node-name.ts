/**
 * Names in trees. On most systems a file name is bytes, usually UTF-8; restic stores it quoted as
 * Go's strconv.Quote does, inside a JSON string.
 *
 * Here a name is a string in which each byte that is not UTF-8 stands as the lone surrogate
 * U+DC00 + byte, as Python's `surrogateescape` does: nothing is lost, equal means equal.
 */

import { isUtf8 } from 'node:buffer'
import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'

const PLAIN_NAME = /^[\w .,:;+=~@^()[\]{}!?*$%#'`|/-]*$/
const SHORT_ESCAPES = new Map([
  ['\u0007', '\\a'], ['\b', '\\b'], ['\f', '\\f'], ['\n', '\\n'], ['\r', '\\r'], ['\t', '\\t'],
  ['\v', '\\v'], ['"', '\\"'], ['\\', '\\\\'],
])
const BYTE_OF_SHORT = new Map(
  [...SHORT_ESCAPES].map(([char, text]) => [text[1], char.charCodeAt(0)]))

const HEX = '[\\dA-Fa-f]'
const ESCAPE =
  `\\\\(?:([abfnrtv"\\\\])|x(${HEX}{2})|([0-3][0-7]{2})|u(${HEX}{4})|U(${HEX}{8}))`

/** The name that `bytes` are. */
export function nameFromBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(buffer)) return buffer.toString('utf8')
  let name = ''
  for (let at = 0; at < buffer.length;) {
    const length = sequenceLength(buffer[at] ?? 0)
    const sequence = buffer.subarray(at, at + length)
    if (isUtf8(sequence)) {
      name += sequence.toString('utf8')
      at += length
    } else {
      name += String.fromCharCode(0xdc00 + (buffer[at] ?? 0))
      at += 1
    }
  }
  return name
}

/** Bytes of the UTF-8 sequence that `lead` begins. */
function sequenceLength(lead: number): number {
  if (lead < 0xc0) return 1
  if (lead < 0xe0) return 2
  return lead < 0xf0 ? 3 : 4
}

/** The bytes of a name: what a file system is given. */
export function nameBytes(name: string): Uint8Array<ArrayBuffer> {
  if (name.isWellFormed()) return Buffer.from(name, 'utf8')
  return Buffer.concat(Array.from(name, (char) => {
    const code = char.codePointAt(0) ?? 0
    if (code < 0xd800 || code > 0xdfff) return Buffer.from(char, 'utf8')
    assert.ok(code >= 0xdc80 && code <= 0xdcff, 'a lone surrogate that stands for no byte')
    return Buffer.from([code - 0xdc00])
  }))
}

/** The order of names in a tree: by bytes. Negative, zero or positive. */
export function compareNames(a: string, b: string): number {
  if (PLAIN_NAME.test(a) && PLAIN_NAME.test(b)) return a < b ? -1 : Number(a > b)
  return Buffer.compare(nameBytes(a), nameBytes(b))
}

/** The name as Go's strconv.Quote writes it, without the quotation marks. */
export function quoteName(name: string): string {
  if (PLAIN_NAME.test(name)) return name
  let quoted = ''
  for (const char of name) quoted += SHORT_ESCAPES.get(char) ?? quoteChar(char)
  return quoted
}

function quoteChar(char: string): string {
  // Go asks its own tables of Unicode; a character newer than those of the restic that wrote a
  // tree differs here, as it does between two versions of restic.
  if (/^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char)) return char
  const code = char.codePointAt(0) ?? 0
  const hex = (digits: number): string => code.toString(16).padStart(digits, '0')
  if (code < 0x20 || code === 0x7f) return `\\x${hex(2)}`
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${hex(4).slice(2)}`
  return code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`
}

/** The name that `quoted` spells. Fault: `repository-damaged`, naming `what`. */
export function unquoteName(quoted: string, what: string): string {
  if (PLAIN_NAME.test(quoted)) return quoted
  const damaged = (): Fault =>
    new Fault('repository-damaged', `${what} has a name that is not quoted correctly`)
  if (!quoted.isWellFormed()) throw damaged()
  const parts: Uint8Array[] = []
  const escape = new RegExp(ESCAPE, 'y')
  for (let at = 0; at < quoted.length;) {
    if (quoted[at] === '\\') {
      escape.lastIndex = at
      const match = escape.exec(quoted)
      if (match === null) throw damaged()
      const [, short, hex, octal, u4 = '', u8 = u4] = match
      if (short !== undefined) parts.push(Buffer.from([BYTE_OF_SHORT.get(short) ?? 0]))
      else if (hex !== undefined) parts.push(Buffer.from([Number.parseInt(hex, 16)]))
      else if (octal !== undefined) parts.push(Buffer.from([Number.parseInt(octal, 8)]))
      else parts.push(runeBytes(Number.parseInt(u8, 16), damaged))
      at = escape.lastIndex
    } else {
      const end = quoted.indexOf('\\', at)
      const plain = quoted.slice(at, end < 0 ? quoted.length : end)
      if (plain.includes('"') || plain.includes('\n')) throw damaged()
      parts.push(Buffer.from(plain, 'utf8'))
      at += plain.length
    }
  }
  return nameFromBytes(Buffer.concat(parts))
}

function runeBytes(code: number, damaged: () => Fault): Uint8Array {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw damaged()
  return Buffer.from(String.fromCodePoint(code), 'utf8')
}

/** Refuses a name that could lead out of its directory. Fault: `repository-damaged`. */
export function checkName(name: string, what: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw new Fault('repository-damaged', `${what} has an entry whose name is not a file's name`)
  }
}
