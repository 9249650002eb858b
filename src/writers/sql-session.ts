/** What the writers need of a connection to a database server, whoever speaks its protocol. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'

/** Column names to values, all as text; null is SQL's null. */
export type Row = Readonly<Record<string, string | null>>

/** One connection, one statement at a time. */
export interface SqlSession extends AsyncDisposable {
  /** False once the connection has ended, whoever ended it. */
  readonly isOpen: boolean
  /**
   * Faults: `writer-failed` if the server refuses or the connection ends, `writer-timeout` after
   * `limitMs`; that ends the connection, since what the server does with the statement is unknown.
   */
  query(sql: string, limitMs: number, signal?: AbortSignal): Promise<readonly Row[]>
  /** Ends the connection at once, whatever it is doing; idempotent. */
  destroy(): void
}

/** What a server may answer to one statement, as it comes over the wire. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024

/** The one row of an answer. Fault: `writer-failed`. */
export function onlyRow(rows: readonly Row[]): Row {
  const [row, ...more] = rows
  if (row === undefined || more.length > 0) {
    throw new Fault('writer-failed', `the server answered ${rows.length} rows instead of one`)
  }
  return row
}

/** The text in a column, which must fit `pattern`. Fault: `writer-failed`. */
export function textOf(row: Row, column: string, pattern: RegExp): string {
  const value = row[column]
  if (typeof value !== 'string' || !pattern.test(value)) {
    const shown = typeof value === 'string' ? printable(value, 60) : 'nothing'
    throw new Fault('writer-failed', `the server answered ${shown} for ${column}`)
  }
  return value
}

/** A row as the writer's statement: `name=value, name=value`, values as the server gave them. */
export function statementOf(row: Row): string {
  return Object.entries(row).map(([name, value]) => `${name}=${value ?? 'null'}`).join(', ')
}
