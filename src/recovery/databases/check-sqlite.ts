/** SQLite in the image: its last commit against the one that its writer stated, and integrity. */

import type { ImageFile, Inode } from '../../disk/mod.ts'
import {
  confirms, contradicts, silent, type DatabaseSubject, type Finding,
} from './finding.ts'
import {
  followLog, HEADER_BYTES, isHot, parseHeader, type SqliteHeader,
} from './sqlite-files.ts'
import { checkIntegrity } from './sqlite-integrity.ts'

/** How much of a log is followed; this takes some seconds. */
const MAX_LOG_BYTES = 512 * 1024 ** 2

/** Confirms that the last commit is the one at which it was held, neither before nor after. */
export async function checkSqlite(subject: DatabaseSubject): Promise<Finding> {
  const { writer, paths: [path], files, signal } = subject
  if (writer.contract !== 'held' || writer.freeze.state !== 'acknowledged') {
    return silent('the evidence states no hold')
  }
  const database = path === undefined ? undefined : await files.find(path)
  if (database?.kind !== 'file') return silent('no database lies where it was')
  const header = parseHeader(await database.read(0, HEADER_BYTES))
  if (header === undefined) return contradicts('its file is no database of SQLite')
  const journal = await files.find(`${path}-journal`)
  if (journal?.kind === 'file' && await isHot(journal)) {
    return contradicts('a transaction was being written: its journal has to undo it')
  }
  const log = asFile(await files.find(`${path}-wal`))
  const { statement } = writer.freeze
  const found = header.hasLog
    ? await checkLog(log, statement) : checkCounter(header, database, statement)
  if (found.answer !== 'confirms') return found
  const integrity = await checkIntegrity(database, header.hasLog ? log : undefined, signal)
  switch (integrity.state) {
    case 'ok': return confirms(`${found.detail}; its integrity check says ok`)
    case 'damaged': return contradicts(`its integrity check says: ${integrity.said}`)
    case 'not-checked':
      return confirms(`${found.detail}; it was not checked as a whole: ${integrity.why}`)
    default: return integrity satisfies never
  }
}

async function checkLog(log: ImageFile | undefined, statement: string): Promise<Finding> {
  const stated = /\bwal_frames=(\d{1,10})\b/.exec(statement)?.[1]
  const salt = /\bwal_salt=([0-9a-f]{16})\b/.exec(statement)?.[1]
  if (stated === undefined) return silent('the evidence does not state how far its log went')
  const found = log === undefined ? { salt: '', frames: 0 } : await followLog(log, MAX_LOG_BYTES)
  if (found === 'too-long') return silent(`its log is longer than ${MAX_LOG_BYTES >> 20} MiB`)
  const { frames } = found
  if (Number(stated) > 0 && found.salt !== salt) {
    return contradicts('its log was begun anew since it was held')
  }
  if (frames !== Number(stated)) {
    return contradicts(
      `the last commit in its log ends at frame ${frames}, and was at ${stated} while it was held`)
  }
  return confirms(`the last commit in its log ends at frame ${frames}, as it stated in the hold`)
}

function checkCounter(
  { changeCounter, pages, pageBytes }: SqliteHeader, { sizeBytes }: ImageFile, statement: string,
): Finding {
  const stated = /\bchange_counter=(\d{1,10})\b/.exec(statement)?.[1]
  if (stated === undefined) return silent('the evidence does not state its change counter')
  if (changeCounter !== Number(stated)) {
    return contradicts(
      `its change counter is ${changeCounter}, and was ${stated} while it was held`)
  }
  if (pages !== undefined && pages * pageBytes > sizeBytes) {
    return contradicts(`its file has ${sizeBytes} bytes, which is less than its ${pages} pages`)
  }
  return confirms(`its change counter is ${changeCounter}, as it stated in the hold, and no ` +
    'journal has to be undone')
}

function asFile(inode: Inode | undefined): ImageFile | undefined {
  return inode?.kind === 'file' ? inode : undefined
}
