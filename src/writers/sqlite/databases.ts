/** SQLite databases of services: those that have them open, and those that the operator named. */

import { realpath, stat } from 'node:fs/promises'
import { causesOf, Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import { isService, openFiles } from '../open-files.ts'
import { locatePlaces } from '../places.ts'
import { fileIdIfThere, journalMode, SIDECARS, type FileId } from './database-file.ts'

export interface Database {
  readonly application: DiscoveredApplication
  /** Without symbolic links, as we call it. */
  readonly path: string
}

/** Each has a lock and two connections of its own. */
const MAX_DATABASES = 64
const NAMES = /\.(db3?|sqlite3?|s3db)$/
/** File systems in memory: what is there is gone at the next start, and is nobody's loss. */
const FLEETING = new Set(['tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs'])

export interface FindOptions {
  readonly procRoot: string
  /** Paths that the operator named. */
  readonly named: readonly string[]
  /** Whether it is held by us, and must not be opened and closed meanwhile. */
  readonly isHeld: (id: FileId) => boolean
}

export interface FoundDatabases {
  /** By path. */
  readonly databases: readonly Database[]
  /** Services that may not be looked at: nobody knows what they have open. */
  readonly hidden: readonly number[]
}

/** Fault: `writer-failed` if there are more than can be held at once. */
export async function findDatabases(
  options: FindOptions, signal: AbortSignal): Promise<FoundDatabases> {
  const found = new Map<string, Database>()
  for (const path of options.named) {
    const database = await namedDatabase(path, options)
    found.set(database.path, database)
  }
  const services = new Map<number, boolean>()
  const others: number[] = []
  const files = openFiles(options.procRoot, signal, (pid) => others.push(pid))
  for await (const { pid, path } of files) {
    const base = path.replace(/-(wal|shm|journal)$/, '')
    if (pid === process.pid || found.has(base)) continue
    if (!await looksLikeOne(`${options.procRoot}/${pid}/root`, base, path)) continue
    const known = services.get(pid) ?? await isService(options.procRoot, pid)
    services.set(pid, known)
    const database = known ? await openDatabaseOf(pid, base, options) : undefined
    if (database !== undefined) found.set(base, database)
    if (found.size > MAX_DATABASES) {
      throw new Fault('writer-failed', `more than ${MAX_DATABASES} databases of SQLite are open`, {
        advice: 'Hold their applications by a script.' })
    }
  }
  const hidden: number[] = []
  for (const pid of others) if (await isService(options.procRoot, pid)) hidden.push(pid)
  return { databases: [...found.values()], hidden }
}

/** By its name, or by what lies beside it. */
async function looksLikeOne(itsRoot: string, base: string, open: string): Promise<boolean> {
  if (base !== open || NAMES.test(base)) return true
  for (const suffix of SIDECARS) {
    const beside = await stat(`${itsRoot}${base}${suffix}`).catch(() => undefined)
    if (beside !== undefined) return true
  }
  return false
}

async function openDatabaseOf(
  pid: number, path: string, { procRoot, isHeld }: FindOptions): Promise<Database | undefined> {
  const itsPath = `${procRoot}/${pid}/root${path}`
  const id = await fileIdIfThere(itsPath)
  if (id === undefined) return undefined // deleted, or a name that only looks like one
  if (!isHeld(id) && await journalMode(itsPath).catch(() => undefined) === undefined) {
    return undefined
  }
  const data = await locatePlaces([path], pid, procRoot)
  if (data.state === 'located' && data.places.every(({ type }) => FLEETING.has(type))) {
    return undefined
  }
  return { path, application: applicationOf(path, data) }
}

async function namedDatabase(
  path: string, { procRoot, isHeld }: FindOptions): Promise<Database> {
  try {
    const real = await realpath(path)
    const id = await fileIdIfThere(real)
    const isOne = id !== undefined && (isHeld(id) || await journalMode(real) !== undefined)
    const data: DiscoveredApplication['data'] = isOne
      ? await locatePlaces([real], 'self', procRoot)
      : { state: 'unknown', detail: `${printable(path)} is no database of SQLite` }
    return { path: real, application: applicationOf(real, data) }
  } catch (error) {
    const detail = printable(causesOf(error).join(': '), 1000)
    return { path, application: applicationOf(path, { state: 'unknown', detail }) }
  }
}

/** It recovers by itself from what one instant of it and its log hold. */
function applicationOf(path: string, data: DiscoveredApplication['data']): DiscoveredApplication {
  return { name: `sqlite ${path}`, kind: 'protected', recovery: 'self', data }
}
