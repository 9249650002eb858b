/** MariaDB in the image: the log of InnoDB, against the positions in the evidence and pages. */

import { join } from 'node:path/posix'
import type { ImageFile } from '../../disk/mod.ts'
import {
  confirms, contradicts, silent, type DatabaseSubject, type Finding,
} from './finding.ts'
import { followLog, readLogHead } from './innodb-log.ts'
import { samplePages } from './innodb-pages.ts'

/** How much of the log is followed; this takes some seconds. */
const MAX_LOG_BYTES = 512 * 1024 ** 2

/**
 * Confirms that a recovery begins no earlier than the checkpoint that the server named before the
 * hold, that the log is whole from there to where it was on disk while nothing was committed, and
 * that a sample of pages is whole and no newer than the log.
 */
export async function checkMariadb(subject: DatabaseSubject): Promise<Finding> {
  const { writer } = subject
  if (writer.contract !== 'held' || writer.freeze.state !== 'acknowledged' ||
    writer.freeze.positions === null) return silent('the evidence states no positions of its log')
  const { beforeCheckpoint, atFreeze } = writer.freeze.positions
  if (![beforeCheckpoint, atFreeze].every((it) => /^\d{1,20}$/.test(it))) {
    return silent('the positions in the evidence are none of InnoDB\'s')
  }
  const file = await findLog(subject)
  if (file === undefined) return silent('no log of InnoDB lies where it was')
  const log = await readLogHead(file)
  if (log === 'unknown') return silent('its log is of a version that is not read, or encrypted')
  if (log === 'damaged') return contradicts('its log has no whole heading: no server starts')
  const { checkpoint } = log
  if (checkpoint < BigInt(beforeCheckpoint)) {
    return contradicts(`its recovery begins at ${checkpoint}, before the checkpoint at ` +
      `${beforeCheckpoint} that it had before the hold`)
  }
  const followed = await followLog(log, file, MAX_LOG_BYTES)
  if (followed === 'too-long') {
    return silent(`there is more log to follow than ${MAX_LOG_BYTES >> 20} MiB`)
  }
  const { end, transactions } = followed
  const reach = `InnoDB's log is whole from its checkpoint at ${checkpoint} to ${end}`
  if (end < BigInt(atFreeze)) {
    return contradicts(
      `${reach} and does not reach ${atFreeze}, where it was on disk at the freeze`)
  }
  const { whole, files, wrong } = await samplePages(
    subject.files, subject.paths, { checkpoint, end })
  if (wrong !== undefined) return contradicts(wrong)
  return confirms(`${reach} (${transactions} mini-transactions), not before ${atFreeze}, ` +
    `where it was on disk at the freeze; ${whole} pages of ${files} files are whole and no newer`)
}

async function findLog({ paths, files }: DatabaseSubject): Promise<ImageFile | undefined> {
  for (const path of paths) {
    const found = await files.find(join(path, 'ib_logfile0'))
    if (found?.kind === 'file') return found
  }
  return undefined
}
