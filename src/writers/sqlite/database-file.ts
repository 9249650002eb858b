/** A SQLite database as files: what its header says, and what lies beside it. */

import { constants } from 'node:fs'
import { lstat, open, stat } from 'node:fs/promises'
import { Fault } from '../../base/fault.ts'

/** "Database File Format" of SQLite, 1.3: the magic, and the version for writing, 2 with a WAL. */
const MAGIC = 'SQLite format 3\0'
const HEADER_BYTES = 20
const WRITE_VERSION = 18

export type JournalMode = 'rollback' | 'wal'

/** Device and inode: what a path leads to, whatever it is called. */
export type FileId = string

/**
 * Whether the file is a database, and how it keeps its journal; undefined if it is none. Opens and
 * closes the file, which takes away every lock that this process has on it (fcntl(2)): never ask
 * about one that is held. Throws the system's error.
 */
export async function journalMode(path: string): Promise<JournalMode | undefined> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) return undefined
  const header = Buffer.alloc(HEADER_BYTES)
  const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0)
  if (bytesRead < HEADER_BYTES || header.toString('latin1', 0, 16) !== MAGIC) return undefined
  return header[WRITE_VERSION] === 2 ? 'wal' : 'rollback'
}

async function fileId(path: string): Promise<FileId> {
  const { dev, ino } = await stat(path, { bigint: true })
  return `${dev}:${ino}`
}

/** Undefined if there is none. */
export function fileIdIfThere(path: string): Promise<FileId | undefined> {
  return fileId(path).catch(() => undefined)
}

/** The suffixes of what SQLite puts beside a database, and whole applications depend on. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const

/** Fault: `writer-failed` unless the log and its index are there: we would have to make them. */
export async function checkLogIsThere(path: string): Promise<void> {
  for (const suffix of ['-wal', '-shm']) {
    const beside = await lstat(`${path}${suffix}`).catch(() => undefined)
    if (beside?.isFile() !== true) {
      throw new Fault('writer-failed', `nobody has ${path} open: its log is not there`, {
        advice: 'It is at rest, and as good as a plain file; hold it while its application runs.' })
    }
  }
}
