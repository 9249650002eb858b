/**
 * SQLite's own check of a whole database, on a copy, by a confined program: a hostile database may
 * be made for a fault in it.
 */

import { chmod, chown, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { workingFolder } from '../../base/working-folder.ts'
import type { ImageFile } from '../../disk/mod.ts'
import { canConfine, NOBODY, runConfined } from './confined.ts'

export type Integrity =
  | { readonly state: 'ok' }
  | { readonly state: 'damaged'; readonly said: string }
  | { readonly state: 'not-checked'; readonly why: string }

/** Of the database and its log, which are copied. */
const MAX_BYTES = 256 * 1024 ** 2
/** What an application may have put in itself, and no capture could: values its schema forbids. */
const OF_THE_DATA = /^(CHECK constraint failed in|(NULL|TEXT|NUMERIC|non-\w+) value in) /
const PIECE_BYTES = 1024 * 1024
/** `log`: its write-ahead log, if there is one. Faults: those of reading. */
export async function checkIntegrity(
  database: ImageFile, log: ImageFile | undefined, signal: AbortSignal): Promise<Integrity> {
  if (database.sizeBytes + (log?.sizeBytes ?? 0) > MAX_BYTES) {
    return notChecked(`it is larger than ${MAX_BYTES >> 20} MiB`)
  }
  if (!canConfine()) return notChecked('only root can confine the program that does')
  await using own = await workingFolder('sqlite')
  try {
    // Ours, so that a later run may remove it; in it one of the account that the program has.
    await chmod(own.path, 0o711)
    const folder = join(own.path, 'copy')
    await mkdir(folder, { mode: 0o700 })
    await copy(database, join(folder, 'it.db'))
    if (log !== undefined) await copy(log, join(folder, 'it.db-wal'))
    await chown(folder, NOBODY, NOBODY)
    const { stdout } = await runConfined('sqlite3', [
      '-safe', '-batch', '-noheader', '-list', '-init', '/dev/null', 'it.db',
      'pragma trusted_schema = off; pragma integrity_check(20);',
    ], folder, signal)
    const lines = Buffer.from(stdout).toString().split('\n')
      .filter((line) => line !== '' && !line.startsWith('***'))
    if (lines.length === 0) return notChecked('the program that does said nothing')
    const said = lines.find((line) => line !== 'ok' && !OF_THE_DATA.test(line))
    return said === undefined ? { state: 'ok' } : { state: 'damaged', said: printable(said, 200) }
  } catch (error) {
    if (signal.aborted || !isFault(error, 'program-missing', 'program-failed')) throw error
    // The program also ends with an error where the file is no database for it.
    const isDamage = /disk image is malformed|file is not a database/.test(error.message)
    return isDamage ? { state: 'damaged', said: printable(error.message, 200) }
      : notChecked(printable(error.message, 200))
  }
}

function notChecked(why: string): Integrity {
  return { state: 'not-checked', why }
}

async function copy(from: ImageFile, path: string): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  for (let at = 0; at < from.sizeBytes; at += PIECE_BYTES) {
    const piece = await from.read(at, PIECE_BYTES)
    await file.write(piece, 0, piece.length, at)
  }
  await file.chown(NOBODY, NOBODY)
}
