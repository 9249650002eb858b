/** MariaDB and MySQL servers that run on this machine, and where their files lie. */

import { realpath } from 'node:fs/promises'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DataPlaces, DiscoveredApplication } from '../../consistency/mod.ts'
import { listeningSockets } from '../listening.ts'
import { locatePlaces } from '../places.ts'
import { findProcesses, type ServerProcess } from '../processes.ts'
import type { SqlSession } from '../sql-session.ts'
import { readDataFolder, type DataFolder } from './data-folder.ts'
import { askFoldersElsewhere, askSettings, type ServerSettings } from './questions.ts'

export interface MariadbServer {
  readonly name: string
  readonly process: ServerProcess
}

/** Every running server, names unique. Faults: `writer-failed`. */
export async function findServers(
  procRoot: string, signal: AbortSignal): Promise<readonly MariadbServer[]> {
  const processes = (await findProcesses(procRoot, ['mariadbd', 'mysqld'], signal))
    .filter((server, _, all) => !all.some(({ pid }) => pid === server.parent))
  const nameOf = ({ program, cwd }: ServerProcess): string => {
    const kind = program === 'mariadbd' ? 'mariadb' : 'mysql'
    return cwd === '/var/lib/mysql' ? kind : `${kind} in ${cwd}` // a server works in its data
  }
  const names = processes.map(nameOf)
  return processes.map((process, index) => {
    const name = names[index] ?? ''
    const isUnique = names.filter((it) => it === name).length === 1
    return { process, name: isUnique ? name : `${name}, process ${process.pid}` }
  })
}

/** The socket to ask it at, which is ours to reach. Fault: `writer-failed`. */
export async function socketOf(
  { process: { pid, cwd } }: MariadbServer, procRoot: string): Promise<string> {
  const seen = await locatePlaces([cwd], pid, procRoot)
  if (seen.state !== 'located') { // it might be another server that answers at its address
    throw new Fault('writer-failed', `it cannot be asked: ${seen.detail}`)
  }
  const sockets = await listeningSockets(procRoot, pid, cwd)
  // MySQL's other protocol listens beside the one we speak.
  const socket = sockets.find((path) => !path.endsWith('mysqlx.sock'))
  if (socket === undefined) {
    throw new Fault('writer-failed', 'it listens on no unix socket', {
      advice: 'Set socket= in the configuration of the server.' })
  }
  return socket
}

export interface ServerFiles {
  readonly data: DataPlaces
  readonly folder: DataFolder
  readonly settings: ServerSettings
}

/** Asks the server and its folder for all places of its data. Fault: `writer-failed`. */
export async function findFiles(
  { process: { pid, cwd } }: MariadbServer, session: SqlSession, procRoot: string,
  limitMs: number, signal: AbortSignal): Promise<ServerFiles> {
  const settings = await askSettings(session, limitMs, signal)
  const stated = await realpath(settings.dataFolder).catch(() => undefined)
  if (stated !== await realpath(cwd).catch(() => null)) {
    throw new Fault('writer-failed', 'another server answers at its socket')
  }
  const elsewhere = await askFoldersElsewhere(session, settings.dataFolder, limitMs, signal)
  const folder = await readDataFolder(cwd, signal)
  const paths = [cwd, ...settings.places, ...elsewhere, ...folder.links]
  return { settings, folder, data: await locatePlaces(paths, pid, procRoot) }
}

/** What is said of a server; tables of engines without a log of their own may need a repair. */
export function describe(
  name: string, files: ServerFiles | { readonly error: unknown }): DiscoveredApplication {
  if ('error' in files) {
    if (!isFault(files.error, 'writer-failed', 'writer-timeout')) throw files.error
    return { name, kind: 'protected', recovery: 'unknown', data: {
      state: 'unknown', detail: printable(files.error.message) } }
  }
  return {
    name, kind: 'protected', recovery: files.folder.fragile.size === 0 ? 'self' : 'unknown',
    data: files.data,
  }
}
