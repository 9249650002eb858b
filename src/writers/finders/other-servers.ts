/** Finds servers that keep data and that no writer holds, so that nobody takes them as held. */

import { readdir, readlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DataPlaces, DiscoveredApplication } from '../../consistency/mod.ts'
import { isService } from '../open-files.ts'
import { locatePlaces } from '../places.ts'
import { processIds } from '../processes.ts'
import { readSmallFile } from '../small-file.ts'
import type { ApplicationFinder } from '../writer-set.ts'
import { SERVER_KINDS, type ServerKind } from './server-kinds.ts'

const MAX_TEXT_BYTES = 256 * 1024
const MAX_DESCRIPTORS = 20_000
/** A machine with more such services than this is not told of by a list. */
const MAX_SERVICES = 32
/** Of those that a person began; anybody can begin more, and call them what he likes. */
const MAX_INCIDENTAL = 8
/** Folders that are named of one; with more, what is above them is named instead. */
const MAX_FOLDERS = 16

interface Server {
  readonly pid: number
  readonly parent: number
  readonly kind: ServerKind
}

/** Those that run as a service are protected; what a person started is incidental. */
export function otherServers(
  { procRoot = '/proc' }: { readonly procRoot?: string } = {}): ApplicationFinder {
  return {
    name: 'other servers',
    async discover(signal) {
      const found = { protected: [] as Server[], incidental: [] as Server[] }
      for (const server of await findServers(procRoot, signal)) {
        const isProtected = await isService(procRoot, server.pid)
        found[isProtected ? 'protected' : 'incidental'].push(server)
      }
      if (found.protected.length > MAX_SERVICES) {
        throw new Fault('writer-failed', `there are ${found.protected.length} without a writer`)
      }
      const applications: DiscoveredApplication[] = []
      found.incidental.splice(MAX_INCIDENTAL)
      for (const kind of ['protected', 'incidental'] as const) {
        for (const server of found[kind]) {
          throwIfAborted(signal)
          applications.push(await describe(server, kind, procRoot))
        }
      }
      return applications
    },
  }
}

/** Without those that another one began. Fault: `writer-failed` if it cannot be told. */
async function findServers(procRoot: string, signal: AbortSignal): Promise<readonly Server[]> {
  const found: Server[] = []
  for (const pid of await processIds(procRoot)) {
    throwIfAborted(signal)
    const server = await look(procRoot, pid).catch(() => undefined) // it has ended meanwhile
    if (server !== undefined) found.push(server)
  }
  const kindOf = new Map(found.map(({ pid, kind }) => [pid, kind]))
  return found.filter(({ parent, kind }) => kindOf.get(parent) !== kind)
}

async function look(procRoot: string, pid: number): Promise<Server | undefined> {
  const read = (name: string): Promise<string> =>
    readSmallFile(`${procRoot}/${pid}/${name}`, MAX_TEXT_BYTES)
  const comm = (await read('comm')).trimEnd()
  const kinds = SERVER_KINDS.filter((kind) => kind.comm.test(comm))
  if (kinds.length === 0) return undefined
  const args = (await read('cmdline')).replaceAll('\0', ' ')
  const kind = kinds.find((it) => it.args === undefined || it.args.test(args))
  if (kind === undefined || args === '') return undefined // the kernel's threads have none
  const parent = /^PPid:\s+(\d+)/m.exec(await read('status'))?.[1]
  return { pid, kind, parent: Number(parent) }
}

async function describe(
  { pid, kind }: Server, service: DiscoveredApplication['kind'], procRoot: string,
): Promise<DiscoveredApplication> {
  const data = await dataOf(pid, procRoot)
  const where = data.state === 'located' && data.places[0] !== undefined
    ? `in ${printable(data.places[0].path, 200)}` : `process ${pid}`
  return {
    name: `${kind.title} ${where}`, kind: service,
    recovery: kind.recovery, data,
    advice: `Stillpoint has no writer of ${kind.title}: hold it by a script (${kind.how}), ` +
      'or stop it for the backup.',
  }
}

/** Where it keeps data is where it has files open that are no program's, log's or system's. */
async function dataOf(pid: number, procRoot: string): Promise<DataPlaces> {
  const descriptors = await readdir(`${procRoot}/${pid}/fd`).catch(() => [])
  const folders = new Set<string>()
  for (const name of descriptors.slice(0, MAX_DESCRIPTORS)) {
    const path = await readlink(`${procRoot}/${pid}/fd/${name}`).catch(() => '')
    if (isData(path)) folders.add(dirname(path))
  }
  if (folders.size === 0) {
    return { state: 'unknown', detail: 'it has no file open that could be its data' }
  }
  return locatePlaces(fewer([...folders]), pid, procRoot)
}

function isData(path: string): boolean {
  return path.startsWith('/') && !path.endsWith(' (deleted)') &&
    !/^\/(bin|boot|dev|etc|lib|lib32|lib64|proc|run|sbin|sys|tmp|usr)\//.test(path) &&
    !/^\/var\/(log|run)\//.test(path) && !/\.(jar|log|so|pid)$|\.log\.\d+$|\/logs?\//.test(path)
}

/** Without folders below others; where many are left, what is above them. */
function fewer(folders: readonly string[]): readonly string[] {
  const outer = folders.filter((path) =>
    !folders.some((other) => other !== path && path.startsWith(`${other}/`))).toSorted()
  if (outer.length <= MAX_FOLDERS) return outer
  const above = [...new Set(outer.map((path) => dirname(path)))]
  // Each step makes paths shorter, so this ends, if need be at `/`.
  return above.length === outer.length && above.every((path) => outer.includes(path)) ? ['/']
    : fewer(above)
}
