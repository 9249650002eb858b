/** The check `logs`: the guest's own records, read out of the captured disks. */

import { deadline, throwIfAborted, type Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import {
  checkLogs, claimsOf, LOG_SOURCES, probeSet, SHUTDOWN_NOTE, type Check, type GradeResult,
  type ImageLogs, type LogRemark, type VolumeEvidence,
} from '../../consistency/mod.ts'
import { NtfsFileSystem, type BlockSource, type Window } from '../../disk/mod.ts'
import type { EventQuery } from '../../eventlog/mod.ts'
import { volumeOpener } from '../databases/open-volume.ts'
import { readWindowsLogs } from './windows-logs.ts'

type Disks = readonly { readonly id: string; readonly source: BlockSource }[]

export interface LogsRequest {
  readonly result: GradeResult
  /** When the instant had been taken, by our clock; milliseconds since 1970. */
  readonly takenAtMs: number
  readonly own: Disks
  /** Of the machine's next restore point. */
  readonly next: Disks | undefined
}

export interface LogsProof {
  readonly checks: readonly Check[]
  /** What the records mean, for people; not a part of the verdict. */
  readonly remarks: readonly LogRemark[]
  /** Where the logs were found and how far they reach, or why there are none. */
  readonly found: string
  /** What will be seen after a restore, and why; empty where no Windows was found. */
  readonly note: string
}

/** More than any zone of time: a guest whose clock is wrong by that much is still understood. */
const AROUND_MS = 26 * 3_600_000
/** For the logs of one image. */
const IMAGE_MS = 60_000
const IMAGE_BYTES = 2 * 1024 ** 3

/**
 * One check for each claim of the grade, silent, with the reason, where nothing can be told.
 * Faults: those of reading the disks, but not what is wrong on them.
 */
export async function proveLogs(
  { result, takenAtMs, own, next }: LogsRequest, clock: Clock, signal: AbortSignal,
): Promise<LogsProof> {
  const claims = claimsOf(result)
  const query = {
    sources: LOG_SOURCES, fromMs: takenAtMs - AROUND_MS, toMs: takenAtMs + AROUND_MS }
  const mine = await logsOf(own, query, clock, signal)
  if (mine.logs === undefined) {
    const detail = printable(mine.found)
    return { remarks: [], note: '', found: detail,
      checks: claims.map((claim) => ({ name: 'logs', claim, answer: 'silent', detail })) }
  }
  const later = next === undefined ? undefined : await logsOf(next, query, clock, signal)
  const { checks, remarks } = checkLogs({ claims, takenAtMs, own: mine.logs, next: later?.logs })
  return {
    checks: checks.map((check) => ({ ...check, detail: printable(check.detail) })), remarks,
    found: printable(`${mine.found}; ${later === undefined
      ? 'the machine has no later backup' : `its next backup: ${later.found}`}`, 1000),
    note: SHUTDOWN_NOTE,
  }
}

interface FoundLogs {
  readonly logs: ImageLogs | undefined
  /** Where, or why not. */
  readonly found: string
}

async function logsOf(
  disks: Disks, query: EventQuery, clock: Clock, signal: AbortSignal): Promise<FoundLogs> {
  using limit = deadline(clock, IMAGE_MS, 'reading event logs', signal)
  const { volumes } = await probeSet(disks, signal)
  const candidates = volumes.filter(({ type, role }) => type === 'ntfs' && role === 'file-system')
  const troubles: string[] = []
  const open = volumeOpener(disks, limit.signal)
  for (const volume of candidates) {
    try {
      const found = await logsIn(volume, await open(volume), query, limit.signal)
      if (found !== undefined) return found
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error, 'disk-unreadable', 'timed-out')) throw error
      troubles.push(`${placeOf(volume)}: ${error.message}`)
    }
  }
  return { logs: undefined, found: troubles.length > 0 ? troubles.join('; ')
    : candidates.length > 0 ? 'no Windows was found in the NTFS on the disks'
      : 'there is no NTFS on the disks, and only logs of Windows are read' }
}

async function logsIn(
  volume: VolumeEvidence, window: Window, query: EventQuery, signal: AbortSignal,
): Promise<FoundLogs | undefined> {
  const tree = await NtfsFileSystem.open(bounded(window))
  const logs = await readWindowsLogs(tree, query, signal)
  if (logs === undefined) return undefined
  const { application, system } = logs
  const counts = [['Application', application], ['System', system]] as const
  return { logs, found: `${placeOf(volume)}: ${counts.map(([name, log]) => log === undefined
    ? `no log ${name}` : `${name} with ${log.records} records${
      log.damaged > 0 ? `, ${log.damaged} of them damaged` : ''}`).join(', ')}` }
}

/** A damaged file system must not lead us through all of the disk again and again. */
function bounded(window: Window): Window {
  let readBytes = 0
  return { ...window, read: (offset, length) => {
    readBytes += length
    return readBytes > IMAGE_BYTES ? Promise.resolve(undefined) : window.read(offset, length)
  } }
}

function placeOf({ diskIds, where }: VolumeEvidence): string {
  return `${diskIds.join(', ')} ${where}`
}
