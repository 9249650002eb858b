/**
 * Finds data on the Windows that this runs on: servers by the services that run, all else by
 * looking through the disks for as long as is allowed.
 */

import type { Clock } from '../../base/clock.ts'
import { printable } from '../../base/text.ts'
import type { FindData, FoundData, PlacesToLookAt } from '../../consistency/mod.ts'
import type { DataKind } from './data-kinds.ts'
import { byKind, FoundFiles } from './found-files.ts'
import { Look, type LookLimits } from './look.ts'
import { windowsFolders } from './windows-folders.ts'
import { WINDOWS_KINDS } from './windows-kinds.ts'
import { folderOf, runningServers, type RunningServer } from './windows-servers.ts'

const DEFAULT_LIMITS: LookLimits = {
  lookMs: 15_000, // a file server has more files than anybody looks at before each backup
  entries: 500_000,
  depth: 32, // profiles lie deep
}
/** Folders or files of one server's data that are named. */
const MAX_PLACES = 256

export interface WindowsDataOptions {
  readonly clock: Clock
  readonly limits?: Partial<LookLimits>
}

/** What belongs to a server that runs as a service is protected, all else is incidental. */
export function windowsData({ clock, limits = {} }: WindowsDataOptions): FindData {
  return async ({ roots, systemFolder, services }, signal) => {
    const look = new Look(
      windowsFolders(systemFolder), { ...DEFAULT_LIMITS, ...limits }, clock, signal)
    const found = new FoundFiles(WINDOWS_KINDS)
    await look.walk(roots, (listing) => found.note(listing))
    const paths = found.paths()
    const servers = serversOf(services)
    const owned = new Set(servers.map(({ server }) => server.data))
    const left = new Map([...paths].filter(([, { title }]) => !owned.has(title)))
    return [
      ...'unknown' in services ? [noServices(services.unknown)] : [],
      ...servers.map((it) => protectedBy(it, paths, servers)),
      ...byKind(left, WINDOWS_KINDS).map(({ kind, name, paths }): FoundData => ({
        name, paths, kind: 'incidental', recovery: kind.recovery, advice: kind.advice })),
      ...look.isCut ? [NOT_ALL] : [],
    ]
  }
}

function serversOf(services: PlacesToLookAt['services']): readonly RunningServer[] {
  return 'unknown' in services ? [] : runningServers(services)
}

/** Several servers of one kind own all data of it together: which is whose is not known. */
function protectedBy(
  running: RunningServer, found: ReadonlyMap<string, DataKind>,
  all: readonly RunningServer[],
): FoundData {
  const { server, service } = running
  const said = folderOf(running)
  const others = all.flatMap((it) => it !== running && it.server === server
    ? folderOf(it) ?? [] : [])
  const paths = [...found].flatMap(([path, { title }]) =>
    title === server.data && !others.includes(path) ? path : [])
  return {
    name: `${server.title} (service ${printable(service.name, 100)})`, kind: 'protected',
    recovery: server.recovery, advice: server.advice,
    paths: [...new Set([...said === undefined ? [] : [said], ...paths])].slice(0, MAX_PLACES),
    ...server.writer === undefined ? {} : { heldBy: server.writer },
  }
}

/** Not known is not absent. */
function noServices(why: string): FoundData {
  return {
    name: 'servers without a writer, if there are any', kind: 'protected', recovery: 'unknown',
    paths: [], advice: `Windows did not say which services run: ${printable(why, 300)}` }
}

/** Said, so that nobody takes a short list for a whole one. */
const NOT_ALL: FoundData = {
  name: 'files that were not looked at', kind: 'incidental', recovery: 'unknown', paths: [],
  advice: 'The look through the disks was cut off at its limits. Raise files: limits of the ' +
    'platform in the configuration to have more of them looked at.',
}
