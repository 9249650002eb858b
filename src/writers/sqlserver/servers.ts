/** SQL Server on this machine: its processes, the port that is asked, and where its files lie. */

import { readlink } from 'node:fs/promises'
import { causesOf, Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DataPlaces, DiscoveredApplication } from '../../consistency/mod.ts'
import { listeningPorts } from '../listening.ts'
import { locatePlaces } from '../places.ts'
import { findProcesses, type ServerProcess } from '../processes.ts'
import type { SqlServerAddress } from './session.ts'

export interface SqlServer {
  readonly name: string
  /** The first is the parent of the others: a watchdog, and the server itself. */
  readonly processes: readonly [ServerProcess, ...ServerProcess[]]
}

const USUAL_PORT = 1433

/** Every server, names unique. Fault: `writer-failed`. */
export async function findServers(
  procRoot: string, signal: AbortSignal): Promise<readonly SqlServer[]> {
  const all = await findProcesses(procRoot, ['sqlservr'], signal)
  const parents = all.filter(({ parent }) => !all.some(({ pid }) => pid === parent))
  return parents.map((first) => ({
    name: parents.length === 1 ? 'sqlserver' : `sqlserver, process ${first.pid}`,
    processes: [first, ...all.filter(({ parent }) => parent === first.pid)],
  }))
}

/**
 * Where to ask it: a port that a process of it has, of our own network. `port` where its
 * administrator named one. Fault: `writer-failed`.
 */
export async function addressOf(
  { processes }: SqlServer, procRoot: string, port: number | undefined,
): Promise<SqlServerAddress> {
  const found: SqlServerAddress[] = []
  for (const { pid } of processes) {
    const network = (of: string): Promise<string> => readlink(`${procRoot}/${of}/ns/net`)
    if (await network(String(pid)) !== await network('self')) {
      throw new Fault('writer-failed', 'it has a network of its own', {
        advice: 'It may run in a container: run an agent in there.' })
    }
    found.push(...await listeningPorts(procRoot, pid))
  }
  const address = port === undefined
    ? found.find((it) => it.port === USUAL_PORT) ?? found[0]
    : found.find((it) => it.port === port)
  if (address !== undefined) return address
  throw new Fault('writer-failed',
    `it listens on ${port === undefined ? 'no loopback port' : `no loopback port ${port}`}`, {
      advice: 'See network.ipaddress and network.tcpport of mssql-conf.' })
}

/** What is said of a server that was asked, or could not be. */
export function describe(
  name: string, files: DataPlaces | { readonly error: unknown }): DiscoveredApplication {
  // What it was doing at a crash it finishes or undoes when it starts.
  if (!('error' in files)) return { name, kind: 'protected', recovery: 'self', data: files }
  return { name, kind: 'protected', recovery: 'self', data: {
    state: 'unknown', detail: printable(causesOf(files.error).join(': '), 1000) } }
}

/** The places of `folders`, as the server that listens calls them. */
export function placesOf(
  { processes }: SqlServer, folders: readonly string[], procRoot: string): Promise<DataPlaces> {
  return locatePlaces(folders, processes[0].pid, procRoot)
}
