/** PostgreSQL servers that run on this machine, and where their files lie. */

import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Fault, isFault } from '../../base/fault.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import { locatePlaces, MAX_PLACES } from '../places.ts'
import { lookForProcesses, type ServerProcess } from '../processes.ts'
import { readSmallFile } from '../small-file.ts'

export interface Cluster {
  readonly application: DiscoveredApplication
  /** The server's first process. */
  readonly pid: number
  /** The user that it runs as. */
  readonly uid: number
  /** Its data directory as it calls it. */
  readonly dataFolder: string
  /** Where it listens; undefined if its record does not say. */
  readonly address: { readonly socketFolder: string; readonly port: number } | undefined
}

const PROGRAMS = ['postgres', 'postmaster']
const MAX_RECORD_BYTES = 16 * 1024

export interface FoundClusters {
  /** Every one that we may look at. */
  readonly clusters: readonly Cluster[]
  /** The others: of an agent that is not root, all that run as another account. */
  readonly hidden: readonly DiscoveredApplication[]
}

/** Every running cluster. Faults: `writer-failed`. */
export async function findClusters(procRoot: string, signal: AbortSignal): Promise<FoundClusters> {
  const { seen, hidden } = await lookForProcesses(procRoot, PROGRAMS, signal)
  // Its children are its backends and workers, in the same folder.
  const isFirst = ({ parent }: { readonly parent: number }): boolean =>
    ![...seen, ...hidden].some(({ pid }) => pid === parent)
  const clusters: Cluster[] = []
  for (const server of seen.filter(isFirst)) clusters.push(await readCluster(server, procRoot))
  return {
    clusters: withUniqueNames(clusters),
    hidden: hidden.filter(isFirst).map(({ pid, why }) => application(
      `postgres process ${pid}`, { state: 'unknown', detail: why.message })),
  }
}

async function readCluster(server: ServerProcess, procRoot: string): Promise<Cluster> {
  const { pid, uid, cwd } = server
  // Through the process, so that it is its own folder also where it is in a container.
  const folder = `${procRoot}/${pid}/cwd`
  const record = await readIfThere(`${folder}/postmaster.pid`)
  const version = (await readIfThere(`${folder}/PG_VERSION`))?.trim() ?? ''
  const [recordedPid = '', , , port = '', socketFolder = ''] = record?.split('\n') ?? []
  const common = { pid, uid, dataFolder: cwd }
  if (!server.ownPids.includes(Number(recordedPid)) || !/^\d{1,3}(\.\d)?$/.test(version)) {
    return { ...common, address: undefined, application: application(`postgres process ${pid}`, {
      state: 'unknown', detail: 'it runs without a record of its own in its data directory' }) }
  }
  const isAddress = /^\d{1,5}$/.test(port) && socketFolder.startsWith('/')
  return {
    ...common,
    address: isAddress ? { socketFolder, port: Number(port) } : undefined,
    application: application(nameOf(cwd, version),
      await locatePlaces(await filesOf(server), pid, procRoot)),
  }
}

/** All that a recovery needs, and the configuration if it lies elsewhere. */
async function filesOf({ cwd, args }: ServerProcess): Promise<readonly string[]> {
  const tablespaces = await readdir(join(cwd, 'pg_tblspc')).catch(() => ['?'])
  const configuration = args.flatMap((arg) => /^(?:--)?config[_-]file=(\/.+)$/.exec(arg)?.[1] ?? [])
  return [
    cwd, join(cwd, 'pg_wal'), ...configuration,
    ...tablespaces.slice(0, MAX_PLACES).map((oid) => join(cwd, 'pg_tblspc', oid)),
  ]
}

/** As Debian calls its clusters, `15/main`, where the folder is laid out so. */
function nameOf(dataFolder: string, version: string): string {
  return dataFolder.endsWith(`/${version}/${basename(dataFolder)}`)
    ? `postgres ${version}/${basename(dataFolder)}` : `postgres ${version} in ${dataFolder}`
}

function withUniqueNames(clusters: readonly Cluster[]): readonly Cluster[] {
  return clusters.map((cluster) => {
    const { name } = cluster.application
    if (clusters.filter((it) => it.application.name === name).length === 1) return cluster
    const unique = `${name} in ${cluster.dataFolder}, process ${cluster.pid}`
    return { ...cluster, application: { ...cluster.application, name: unique } }
  })
}

function application(name: string, data: DiscoveredApplication['data']): DiscoveredApplication {
  return { name, kind: 'protected', recovery: 'self', data }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readSmallFile(path, MAX_RECORD_BYTES)
  } catch (error) {
    if (isFault(error)) return undefined // no file of a server's
    if (error instanceof Error && 'code' in error && error.code !== 'EACCES') return undefined
    throw new Fault('writer-failed', `${path} may not be read`, {
      cause: error, advice: 'Run the agent as root: it must see the files of the servers it asks.',
    })
  }
}
