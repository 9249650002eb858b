/**
 * RESP2, the protocol of Redis ("Redis serialization protocol specification"): what a writer needs
 * of it, with bounds on what a server may answer.
 */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'

export type Reply =
  | string
  | number
  | null
  | readonly Reply[]
  /** The server refused; its own words. */
  | { readonly error: string }

/** `INFO` with many modules is some 20 KiB, all else that is asked is far less. */
const MAX_PENDING_BYTES = 256 * 1024
const MAX_LINE_BYTES = 1024
const MAX_ITEMS = 1024
const MAX_DEPTH = 3

/** A command as an array of bulk strings. */
export function encodeCommand(args: readonly string[]): string {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
  return `*${args.length}\r\n${parts.join('')}`
}

/** Takes bytes as they come, gives whole replies. Fault: `writer-failed` at bytes of no reply. */
export class RespReader {
  #pending: Buffer = Buffer.alloc(0)

  push(chunk: Uint8Array): void {
    if (this.#pending.length + chunk.length > MAX_PENDING_BYTES) {
      throw new Fault('writer-failed', 'the server answered more than it was asked')
    }
    this.#pending = Buffer.concat([this.#pending, chunk])
  }

  /** The next reply; undefined until all of it has come. */
  take(): Reply | undefined {
    const parsed = parseAt(this.#pending, 0, 0)
    if (parsed === undefined) return undefined
    this.#pending = this.#pending.subarray(parsed.end)
    return parsed.reply
  }
}

interface Parsed {
  readonly reply: Reply
  readonly end: number
}

function parseAt(bytes: Buffer, start: number, depth: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', start)
  if (lineEnd < 0 || lineEnd - start > MAX_LINE_BYTES) {
    if (bytes.length - start > MAX_LINE_BYTES) throw malformed('a line without an end')
    return undefined
  }
  const line = bytes.toString('utf8', start + 1, lineEnd)
  const end = lineEnd + 2
  switch (String.fromCharCode(bytes[start] ?? 0)) {
    case '+': return { reply: line, end }
    case '-': return { reply: { error: line }, end }
    case ':': return { reply: integer(line), end }
    case '$': return bulk(bytes, integer(line), end)
    case '*': return array(bytes, integer(line), end, depth)
    default: throw malformed(bytes.toString('latin1', start, lineEnd))
  }
}

function bulk(bytes: Buffer, length: number, start: number): Parsed | undefined {
  if (length === -1) return { reply: null, end: start }
  if (length < 0 || length > MAX_PENDING_BYTES) throw malformed(`a string of ${length} bytes`)
  const end = start + length
  if (bytes.length < end + 2) return undefined
  if (bytes.toString('latin1', end, end + 2) !== '\r\n') throw malformed('a string too long')
  return { reply: bytes.toString('utf8', start, end), end: end + 2 }
}

function array(
  bytes: Buffer, count: number, start: number, depth: number): Parsed | undefined {
  if (count === -1) return { reply: null, end: start }
  if (count < 0 || count > MAX_ITEMS || depth >= MAX_DEPTH) throw malformed(`${count} items`)
  const items: Reply[] = []
  let end = start
  while (items.length < count) {
    const item = parseAt(bytes, end, depth + 1)
    if (item === undefined) return undefined
    items.push(item.reply)
    end = item.end
  }
  return { reply: items, end }
}

function integer(text: string): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw malformed(text)
  return value
}

function malformed(what: string): Fault {
  return new Fault('writer-failed', `the server does not speak Redis: ${printable(what, 60)}`)
}
