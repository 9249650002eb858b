/**
 * The hold record: a file that says a guest may be frozen or a machine stopped, and by whom.
 *
 * Durable before the freeze is issued and removed after the release is shown, so that a start
 * after any crash can release first.
 */

import {
  closeSync, fsyncSync, lstatSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync,
  writeSync,
} from 'node:fs'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { processStart } from '../../base/process-mark.ts'

/** The sockets a guardian needs to release what is held. */
export interface HoldSockets {
  /** The agent's; undefined where none is configured. */
  readonly agent: string | undefined
  /** The requestor's QMP socket: free once the requestor is gone. */
  readonly qmp: string | undefined
  /** A QMP socket for the guardian alone. */
  readonly guardianQmp: string | undefined
}

export interface HoldRecord {
  readonly version: 1
  /** The guardian that wrote it; a process id can be used again, with another start time. */
  readonly pid: number
  readonly pidStart: string
  readonly sockets: HoldSockets
  /** Tells this run of the machine from the next, by its sockets; see `machineRun`. */
  readonly machineRun: string
  /** Wall time since when the guest may be frozen. */
  readonly frozenSinceMs: number | undefined
  /** Wall time since when the machine may be stopped by us. */
  readonly stoppedSinceMs: number | undefined
}

const MAX_BYTES = 16 * 1024
const SUFFIX = '.hold.json'

/**
 * The record's file for one run on the machine behind these sockets. Each run has its own: what an
 * earlier one left must not be written over.
 */
export function recordFileFor(runDir: string, sockets: HoldSockets, run: string): string {
  const key = createHash('sha256').update(sockets.qmp ?? sockets.agent ?? '').digest('hex')
  return join(runDir, `${key.slice(0, 16)}-${run}${SUFFIX}`)
}

/**
 * A name for this run of the machine: a socket made anew has another inode or modification time,
 * which, unlike the change time, a chmod or chown leaves alone.
 */
export function machineRun(sockets: HoldSockets): string {
  return [sockets.agent, sockets.qmp].map((path) => {
    try {
      if (path === undefined) return '-'
      const { dev, ino, mtimeMs } = lstatSync(path)
      return `${dev}:${ino}:${mtimeMs}`
    } catch {
      return 'gone'
    }
  }).join(' ')
}

/**
 * Writes the record so that it survives our death; `durable`, also a crash of this host, which
 * ends the machine too, but not a guest whose disks and agent live elsewhere. Durable writes take
 * tens of milliseconds on a disk: none is made inside a hold.
 */
export function writeRecord(file: string, record: HoldRecord, durable: boolean): void {
  const part = `${file}.part`
  const handle = openSync(part, 'w', 0o600)
  try {
    writeSync(handle, JSON.stringify(record))
    if (durable) fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(part, file)
  if (durable) syncFolder(dirname(file))
}

/** Removes the record; one that is not there is no fault. */
export function removeRecord(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

/** The record in `file`; undefined if there is none or it is not one. */
export function readRecord(file: string): HoldRecord | undefined {
  try {
    const bytes = readFileSync(file)
    const limits = { maxBytes: MAX_BYTES, maxDepth: 8 }
    return parseRecord(parseJson(bytes, 'the hold record', 'io-error', limits))
  } catch {
    return undefined
  }
}

/** All records of the folder. */
export function listRecords(
  runDir: string): readonly { readonly file: string; readonly record: HoldRecord }[] {
  let names: string[]
  try {
    names = readdirSync(runDir)
  } catch {
    return []
  }
  return names.filter((name) => name.endsWith(SUFFIX)).flatMap((name) => {
    const file = join(runDir, name)
    const record = readRecord(file)
    return record === undefined ? [] : [{ file, record }]
  })
}

/** True if the guardian that wrote the record still runs. */
export function isGuardianAlive(record: HoldRecord): boolean {
  return record.pidStart !== '' && processStart(record.pid) === record.pidStart
}

function parseRecord(value: unknown): HoldRecord | undefined {
  if (!isJsonObject(value) || value['version'] !== 1) return undefined
  const { pid, pidStart, sockets, machineRun, frozenSinceMs, stoppedSinceMs } = value
  if (typeof pid !== 'number' || typeof pidStart !== 'string') return undefined
  if (!isJsonObject(sockets) || typeof machineRun !== 'string') return undefined
  return {
    version: 1,
    pid,
    pidStart,
    sockets: parseSockets(sockets),
    machineRun,
    frozenSinceMs: typeof frozenSinceMs === 'number' ? frozenSinceMs : undefined,
    stoppedSinceMs: typeof stoppedSinceMs === 'number' ? stoppedSinceMs : undefined,
  }
}

/** The sockets in a message or record; what is no text counts as absent. */
export function parseSockets(value: Readonly<Record<string, unknown>>): HoldSockets {
  const path = (key: string): string | undefined => {
    const found = value[key]
    return typeof found === 'string' ? found : undefined
  }
  return { agent: path('agent'), qmp: path('qmp'), guardianQmp: path('guardianQmp') }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
