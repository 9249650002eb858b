/** PostgreSQL in the image: its control file and log, against the positions in the evidence. */

import { join } from 'node:path/posix'
import type { ImageFile } from '../../disk/mod.ts'
import {
  confirms, contradicts, silent, type DatabaseSubject, type Finding,
} from './finding.ts'
import type { GuestFiles } from './guest-files.ts'
import {
  CONTROL_BYTES, IN_PRODUCTION, parseControl, stateName, type PostgresControl,
} from './postgres-control.ts'
import { followLog, type ReadSegment } from './postgres-log.ts'

/**
 * How much of the log is followed. The writer asks for a checkpoint right before the hold, so it is
 * a few megabytes, even of a busy server; this takes some seconds.
 */
const MAX_LOG_BYTES = 512 * 1024 ** 2
const LSN = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/

/**
 * Confirms that a recovery begins no earlier than the checkpoint which the writer asked for, and
 * that the log is whole from there to where it stood at the freeze.
 */
export async function checkPostgres(subject: DatabaseSubject): Promise<Finding> {
  const stated = statedOf(subject)
  if (stated === undefined) return silent('the evidence states no positions of its log')
  const found = await findCluster(subject)
  if (found === undefined) return silent('no cluster lies where it was')
  const { folder, bytes } = found
  const control = parseControl(bytes)
  if (control === 'unknown') return silent('its control file is of a release that is not read')
  if (control === 'damaged') return contradicts('its control file is damaged: no server starts')
  const { systemId, redo } = control
  if (stated.systemId !== undefined && stated.systemId !== systemId) {
    return contradicts(`another cluster lies there: system identifier ${systemId}`)
  }
  if (redo < stated.beforeCheckpoint) {
    return contradicts(`its recovery begins at ${lsnText(redo)}, before the checkpoint at ` +
      `${lsnText(stated.beforeCheckpoint)} that was asked for`)
  }
  return followFrom(control, stated, folder, subject.files)
}

interface Stated {
  readonly beforeCheckpoint: bigint
  readonly atFreeze: bigint
  readonly systemId: bigint | undefined
}

function statedOf({ writer }: DatabaseSubject): Stated | undefined {
  const hasHold = writer.contract === 'recoverable' && writer.freeze.state === 'acknowledged'
  if (!hasHold || writer.freeze.positions === null) return undefined
  const { positions, statement } = writer.freeze
  const beforeCheckpoint = parseLsn(positions.beforeCheckpoint)
  const atFreeze = parseLsn(positions.atFreeze)
  if (beforeCheckpoint === undefined || atFreeze === undefined) return undefined
  const id = /\bsystem_identifier=(\d{1,20})\b/.exec(statement)?.[1]
  return { beforeCheckpoint, atFreeze, systemId: id === undefined ? undefined : BigInt(id) }
}

async function findCluster(
  { paths, files }: DatabaseSubject): Promise<{ folder: string; bytes: Buffer } | undefined> {
  for (const folder of paths) {
    const file = await files.find(join(folder, 'global/pg_control'))
    if (file?.kind === 'file') return { folder, bytes: await file.read(0, CONTROL_BYTES) }
  }
  return undefined
}

async function followFrom(
  control: PostgresControl, { atFreeze }: Stated, folder: string, files: GuestFiles,
): Promise<Finding> {
  const { redo, checkpoint, segmentBytes, systemId, minRecovery } = control
  const log = await followLog({ from: redo, checkpoint, segmentBytes, systemId },
    segmentsOf(control, folder, files), MAX_LOG_BYTES)
  if (log === 'too-long') {
    return silent(`there is more log to follow than ${MAX_LOG_BYTES >> 20} MiB`)
  }
  const { end, written, records, hasCheckpoint, isMissing, why } = log
  const reach = `its log is whole from ${lsnText(redo)} to ${lsnText(end)}`
  const isShort = !hasCheckpoint || written < atFreeze
  if (isShort && control.state !== IN_PRODUCTION && isMissing) {
    return silent(`${reach}; the next file of it is not there, and may lie in an archive`)
  }
  if (!hasCheckpoint) {
    return contradicts(`${reach} and has no record of the checkpoint at ${lsnText(checkpoint)}` +
      ` (${why}): no server starts`)
  }
  if (written < atFreeze) {
    return contradicts(
      `${reach} and does not reach ${lsnText(atFreeze)}, where it stood at the freeze (${why})`)
  }
  if (control.state !== IN_PRODUCTION && written < minRecovery) {
    return contradicts(`${reach} and does not reach ${lsnText(minRecovery)}, ` +
      'from where on a standby is of one piece')
  }
  return confirms(`${stateName(control)}; ${reach} (${records} records), past ` +
    `${lsnText(atFreeze)}, where it stood at the freeze`)
}

/** Segments of the newest timeline, which begin with a copy of what came before; else older. */
function segmentsOf(
  { timeline, previousTimeline, segmentBytes }: PostgresControl, folder: string,
  files: GuestFiles): ReadSegment {
  const perId = 2n ** 32n / BigInt(segmentBytes)
  const find = async (segment: bigint): Promise<ImageFile | undefined> => {
    const place = hex(segment / perId) + hex(segment % perId)
    for (const line of new Set([timeline, previousTimeline])) {
      const file = await files.find(join(folder, 'pg_wal', hex(BigInt(line)) + place))
      if (file?.kind === 'file') return file
    }
    return undefined
  }
  let last: { readonly segment: bigint; readonly file: ImageFile | undefined } | undefined
  return async (segment, offset, length) => {
    if (last?.segment !== segment) last = { segment, file: await find(segment) }
    return last.file?.read(offset, length)
  }
}

function hex(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0')
}

function parseLsn(text: string): bigint | undefined {
  const match = LSN.exec(text)
  return match === null ? undefined : (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`)
}

function lsnText(at: bigint): string {
  return `${(at >> 32n).toString(16)}/${(at & 0xffffffffn).toString(16)}`.toUpperCase()
}
