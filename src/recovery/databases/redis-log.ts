/** The append-only file of Redis: its manifest, and whether its commands are whole to the end. */

import { printable } from '../../base/text.ts'

export interface LogPart {
  readonly name: string
  readonly kind: 'base' | 'increment'
}

/** A base, the current part, and what failed rewrites left: single digits. */
const MAX_PARTS = 64
const MAX_LINE = 1024
const MAX_ARGUMENTS = 1024 * 1024
/** `proto-max-bulk-len` of Redis may be raised to about that. */
const MAX_BULK_BYTES = 2 ** 40

/** What a start reads, in its order; undefined if the manifest cannot be understood. */
export function parseManifest(text: string): readonly LogPart[] | undefined {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  if (lines.length > MAX_PARTS) return undefined
  const parts: LogPart[] = []
  for (const line of lines) {
    const [, name, type] = /^file ([^\s"'/]{1,255}) seq \d{1,18} type ([bih])$/.exec(line) ?? []
    if (name === undefined || name === '.' || name === '..') return undefined
    if (type !== 'h') parts.push({ name, kind: type === 'b' ? 'base' : 'increment' })
  }
  return parts
}

/** Takes a part of commands in order, in pieces of any length; keeps no more than a line of it. */
export class CommandScan {
  /** Why it cannot be read on; undefined as long as it can. */
  fault: string | undefined
  commands = 0
  #rest: Buffer = Buffer.alloc(0)
  /** Arguments of the command that are still to come, and bytes of the one that is under way. */
  #argumentsLeft = 0
  #bulkLeft = 0
  #isFirst = false
  #name = ''
  #inTransaction = false

  push(piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    let at = 0
    while (this.fault === undefined && at < bytes.length) {
      const next = this.#bulkLeft > 0 ? this.#takeBulk(bytes, at) : this.#takeLine(bytes, at)
      if (next === undefined) break
      at = next
    }
    this.#rest = Buffer.from(bytes.subarray(at))
  }

  /** Why its end is not the end of a command; undefined if it is. */
  end(): string | undefined {
    if (this.fault !== undefined) return this.fault
    const isCut = this.#rest.length > 0 || this.#argumentsLeft > 0 || this.#bulkLeft > 0
    if (isCut) return 'it ends inside a command'
    return this.#inTransaction ? 'it ends inside a transaction' : undefined
  }

  /** With the line's end that follows it; undefined: more is needed. */
  #takeBulk(bytes: Buffer, at: number): number | undefined {
    const content = Math.min(this.#bulkLeft - 2, bytes.length - at)
    if (content > 0) {
      if (this.#isFirst && this.#name.length < 8) {
        this.#name += bytes.toString('latin1', at, Math.min(at + content, at + 8))
      }
      this.#bulkLeft -= content
      return at + content
    }
    if (bytes.length - at < 2) return undefined
    this.#bulkLeft = 0
    this.#isFirst = false
    if (bytes.readUInt16BE(at) === 0x0d0a) this.#endArgument()
    else this.#fail('a command is damaged')
    return at + 2
  }

  #takeLine(bytes: Buffer, at: number): number | undefined {
    const end = bytes.indexOf(0x0a, at)
    const length = (end < 0 ? bytes.length : end) - at
    if (length > MAX_LINE) this.#fail('it holds something that is no command')
    if (end < 0) return undefined
    const line = bytes.toString('latin1', at, end)
    if (this.#argumentsLeft > 0) this.#beginArgument(line)
    else if (!line.startsWith('#')) this.#beginCommand(line)
    return end + 1
  }

  #beginCommand(line: string): void {
    const count = Number(/^\*(\d{1,7})\r$/.exec(line)?.[1] ?? 'none')
    if (!(count >= 1 && count <= MAX_ARGUMENTS)) {
      this.#fail(`no command begins with ${printable(JSON.stringify(line.slice(0, 16)))}`)
      return
    }
    this.#argumentsLeft = count
    this.#isFirst = true
    this.#name = ''
  }

  #beginArgument(line: string): void {
    const length = Number(/^\$(\d{1,13})\r$/.exec(line)?.[1] ?? 'none')
    if (length <= MAX_BULK_BYTES) this.#bulkLeft = length + 2
    else this.#fail('a command is damaged')
  }

  #endArgument(): void {
    if (--this.#argumentsLeft > 0) return
    this.commands++
    const name = this.#name.toUpperCase()
    if (name === 'MULTI') this.#inTransaction = true
    if (name === 'EXEC') this.#inTransaction = false
  }

  #fail(why: string): void {
    this.fault ??= why
  }
}
