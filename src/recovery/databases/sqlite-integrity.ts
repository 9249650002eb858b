/**
 * SQLite's own check of a whole database, on a copy, by a program that can do no harm: with an
 * account that owns nothing, without network, with limits on memory, time and files. A hostile
 * database may be made for a fault in that program.
 */

import { chown, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isFault } from '../../base/fault.ts'
import { runProgram } from '../../base/program.ts'
import { printable } from '../../base/text.ts'
import type { ImageFile } from '../../disk/mod.ts'

export type Integrity =
  | { readonly state: 'ok' }
  | { readonly state: 'damaged'; readonly said: string }
  | { readonly state: 'not-checked'; readonly why: string }

/** Of the database and its log, which are copied. */
const MAX_BYTES = 256 * 1024 ** 2
const PIECE_BYTES = 1024 * 1024
/** An account of every Linux that owns no files: `nobody`. */
const NOBODY = 65_534
const LIMITS = ['--as=536870912', '--cpu=40', '--nofile=32', '--nproc=8', '--core=0',
  `--fsize=${2 * MAX_BYTES}`]

/** `log`: its write-ahead log, if there is one. Faults: those of reading. */
export async function checkIntegrity(
  database: ImageFile, log: ImageFile | undefined, signal: AbortSignal): Promise<Integrity> {
  if (database.sizeBytes + (log?.sizeBytes ?? 0) > MAX_BYTES) {
    return notChecked(`it is larger than ${MAX_BYTES >> 20} MiB`)
  }
  if (process.geteuid?.() !== 0) return notChecked('only root can confine the program that does')
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-sqlite-'))
  try {
    await copy(database, join(folder, 'it.db'))
    if (log !== undefined) await copy(log, join(folder, 'it.db-wal'))
    await chown(folder, NOBODY, NOBODY)
    const { stdout } = await runProgram('unshare', [
      '--net', '--ipc', '--mount', '--', 'setpriv', '--pdeathsig=KILL', '--no-new-privs',
      `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all',
      '--bounding-set=-all', 'prlimit', ...LIMITS, '--',
      'sqlite3', '-safe', '-batch', '-noheader', '-list', '-init', '/dev/null', 'it.db',
      'pragma trusted_schema = off; pragma integrity_check(1);',
    ], {
      signal, cwd: folder, maxOutputBytes: 64 * 1024,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/nonexistent', LC_ALL: 'C' } })
    const said = printable(Buffer.from(stdout).toString().trim(), 200)
    return said === 'ok' ? { state: 'ok' } : { state: 'damaged', said }
  } catch (error) {
    if (signal.aborted || !isFault(error, 'program-missing', 'program-failed')) throw error
    // The program also ends with an error where the file is no database for it.
    const isDamage = /malformed|not a database|disk image/.test(error.message)
    return isDamage ? { state: 'damaged', said: printable(error.message, 200) }
      : notChecked(printable(error.message, 200))
  } finally {
    await rm(folder, { recursive: true, force: true })
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
