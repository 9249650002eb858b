/** Lock files, and when one is stale (restic design, "Locks"). */

import { z } from 'zod'
import { Fault } from '../../base/fault.ts'
import { formatMs, printable } from '../../base/text.ts'
import { goObject, goString, goTimeMs, parseGoJson, parseGoTime, type GoTime } from './go-json.ts'
import type { LockHolder } from '../lock-holder.ts'

export interface LockFile {
  readonly time: GoTime
  readonly exclusive: boolean
  readonly hostname: string
  readonly username: string
  readonly pid: number
  readonly uid?: number
  readonly gid?: number
}

/** restic's own limit; holders refresh long before. */
export const STALE_AFTER_MS = 30 * 60_000

const MAX_JSON_BYTES = 64 * 1024

const SHAPE = z.object({
  exclusive: z.boolean(),
  hostname: z.string().max(4096),
  username: z.string().max(4096),
  pid: z.int().min(0),
  uid: z.int().min(0).optional(),
  gid: z.int().min(0).optional(),
})

/** The file's JSON, as restic writes it. */
export function encodeLockFile(lock: LockFile): Uint8Array<ArrayBuffer> {
  const number = (value: number | undefined): string | undefined =>
    value === undefined || value === 0 ? undefined : String(value)
  const json = goObject([
    ['time', goString(lock.time)],
    ['exclusive', String(lock.exclusive)],
    ['hostname', goString(lock.hostname)],
    ['username', goString(lock.username)],
    ['pid', String(lock.pid)],
    ['uid', number(lock.uid)],
    ['gid', number(lock.gid)],
  ])
  return new Uint8Array(Buffer.from(json, 'utf8'))
}

/** Reads a file's JSON. Fault: `repository-damaged`, naming `what`. */
export function parseLockFile(json: Uint8Array, what: string): LockFile {
  const value = parseGoJson(json, what, MAX_JSON_BYTES)
  const shape = SHAPE.safeParse(value)
  if (!shape.success) {
    throw new Fault('repository-damaged', `${what} is not a lock`, { cause: shape.error })
  }
  const { uid, gid, ...rest } = shape.data
  return {
    time: parseGoTime((value as { time?: unknown }).time, what),
    ...rest,
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  }
}

/** `gone`: its process ended, certainly; `old`: not refreshed for so long that it should have. */
export type Staleness = 'live' | 'old' | 'gone'

/**
 * Whether a lock's holder is still there. Only locks of this very host name can be judged `gone`:
 * the clock and the process table are then ours. A process id may have been taken again, even by
 * ourselves, in a container always by ourselves: a lock older than our own start is not ours.
 */
export function stalenessOf(lock: LockFile, self: LockHolder, nowMs: number): Staleness {
  const isOld = nowMs - goTimeMs(lock.time) > STALE_AFTER_MS
  if (lock.hostname !== self.hostname) return isOld ? 'old' : 'live'
  if (isOld) return 'gone'
  const isFromBefore = lock.pid === self.pid && goTimeMs(lock.time) < self.startedAtMs
  return isFromBefore || !self.isAlive(lock.pid) ? 'gone' : 'live'
}

/** The fault of meeting a lock that conflicts: says who holds it and what helps. */
export function lockedFault(lock: LockFile, staleness: Staleness, nowMs: number): Fault {
  const kind = lock.exclusive ? 'exclusively' : 'for sharing'
  const who = `${printable(lock.username, 60)} on ${printable(lock.hostname, 100)}`
  const age = formatMs(Math.max(0, nowMs - goTimeMs(lock.time)))
  return new Fault('locked',
    `the repository is locked ${kind} by ${who}, process ${lock.pid}, refreshed ${age} ago`, {
      retry: 'later',
      advice: staleness === 'live'
        ? 'Wait until that process has finished.'
        : 'Its holder seems to be gone: make sure of that, then run "stillpoint unlock".' })
}
