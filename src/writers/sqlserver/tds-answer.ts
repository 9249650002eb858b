/**
 * What a server answers in TDS 7.4: a stream of tokens (MS-TDS 2.2.7). Of the types of columns it
 * knows NVARCHAR alone: every question of ours casts to that.
 */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { Row } from '../sql-session.ts'

const TOKEN = {
  returnStatus: 0x79, columns: 0x81, order: 0xa9, error: 0xaa, info: 0xab, loginAck: 0xad,
  row: 0xd1, rowWithNulls: 0xd2, change: 0xe3, done: 0xfd, doneProcedure: 0xfe, doneInside: 0xff,
} as const
const NVARCHAR = 0xe7
const IS_NULL = 0xffff
const NO_COLUMNS = 0xffff
/** Answers of ours have a row for a database, or for a file. */
const MAX_ROWS = 20_000
const MAX_COLUMNS = 64
/** A severity from here on is an error. */
const ERROR_CLASS = 11

export interface ServerError {
  readonly number: number
  readonly text: string
}

export interface Answer {
  readonly rows: readonly Row[]
  readonly isLoggedIn: boolean
  /** The first. */
  readonly error: ServerError | undefined
}

/** Fault: `writer-failed` if it is no such answer. */
export function parseAnswer(body: Uint8Array): Answer {
  const cursor = new Cursor(body)
  const rows: Row[] = []
  let columns: readonly string[] = []
  let isLoggedIn = false
  let error: ServerError | undefined
  while (!cursor.isAtEnd) {
    const token = cursor.byte()
    switch (token) {
      case TOKEN.columns:
        columns = readColumns(cursor)
        break
      case TOKEN.row: case TOKEN.rowWithNulls:
        if (rows.length === MAX_ROWS) throw malformed('has too many rows')
        rows.push(readRow(cursor, columns, token === TOKEN.rowWithNulls))
        break
      case TOKEN.error:
        error = readError(cursor) ?? error
        break
      case TOKEN.loginAck:
        cursor.skip(cursor.word())
        isLoggedIn = true
        break
      case TOKEN.info: case TOKEN.change: case TOKEN.order:
        cursor.skip(cursor.word())
        break
      case TOKEN.returnStatus:
        cursor.skip(4)
        break
      case TOKEN.done: case TOKEN.doneProcedure: case TOKEN.doneInside:
        cursor.skip(12) // status, command, count of rows
        break
      default: throw malformed(`has a token ${token.toString(16)}`)
    }
  }
  return { rows, isLoggedIn, error }
}

/** COLMETADATA: the names of the columns. */
function readColumns(cursor: Cursor): readonly string[] {
  const count = cursor.word()
  if (count === NO_COLUMNS) return []
  if (count > MAX_COLUMNS) throw malformed('has too many columns')
  return Array.from({ length: count }, () => {
    cursor.skip(6) // user type, flags
    const type = cursor.byte()
    const isLong = cursor.word() === IS_NULL // nvarchar(max) comes in pieces
    if (type !== NVARCHAR || isLong) throw malformed('has a column of another type than asked for')
    cursor.skip(5) // collation
    return cursor.text(cursor.byte())
  })
}

function readRow(cursor: Cursor, columns: readonly string[], hasBitmap: boolean): Row {
  const bitmap = hasBitmap ? cursor.take(Math.ceil(columns.length / 8)) : undefined
  const row: Record<string, string | null> = Object.create(null)
  for (const [index, name] of columns.entries()) {
    const isLeftOut = ((bitmap?.[index >> 3] ?? 0) >> (index & 7) & 1) === 1
    const length = isLeftOut ? IS_NULL : cursor.word()
    if (length !== IS_NULL && length % 2 === 1) throw malformed('has half a character')
    row[name] = length === IS_NULL ? null : cursor.text(length / 2)
  }
  return row
}

function readError(cursor: Cursor): ServerError | undefined {
  const inside = new Cursor(cursor.take(cursor.word()))
  const number = inside.long()
  inside.skip(1) // state
  const severity = inside.byte()
  const text = inside.text(inside.word())
  return severity < ERROR_CLASS ? undefined : { number, text: printable(text, 300) }
}

/** Little endian, and never past the end. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw malformed('ends too soon')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  skip(length: number): void {
    this.take(length)
  }

  byte(): number {
    return this.#number(1)
  }

  word(): number {
    return this.#number(2)
  }

  long(): number {
    return this.#number(4)
  }

  #number(bytes: number): number {
    this.take(bytes)
    return this.#bytes.readUIntLE(this.#at - bytes, bytes)
  }

  text(characters: number): string {
    return Buffer.from(this.take(2 * characters)).toString('utf16le')
  }
}

function malformed(how: string): Fault {
  return new Fault('writer-failed', `its answer ${how}`)
}
