/** Redis servers that run on this machine, how they are reached, and where their files lie. */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { causesOf, Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import type { Clock } from '../../base/clock.ts'
import { listeningPorts, listeningSockets } from '../listening.ts'
import { locatePlaces } from '../places.ts'
import { findProcesses, type ServerProcess } from '../processes.ts'
import { askSettings, askState, type RedisSettings } from './questions.ts'
import { RedisSession, type RedisAccount, type RedisAddress } from './session.ts'

export interface RedisServer {
  readonly name: string
  readonly process: ServerProcess
  readonly addresses: readonly RedisAddress[]
}

/** Debian's `redis-server` is a link to the program that its checking tool is, too. */
const PROGRAMS = ['redis-server', 'redis-check-rdb', 'valkey-server', 'valkey-check-rdb']
/** One socket and one port are usual; with TLS and a cluster's bus they are four. */
const MAX_ADDRESSES = 6

/** By name, which is where the kernel says that it listens. Fault: `writer-failed`. */
export async function findServers(
  procRoot: string, signal: AbortSignal): Promise<readonly RedisServer[]> {
  const processes = await findProcesses(procRoot, PROGRAMS, signal)
  const servers: RedisServer[] = []
  for (const process of processes) {
    // Its children save; a Sentinel keeps no data.
    if (processes.some(({ pid }) => pid === process.parent)) continue
    if (/\[sentinel\]|--sentinel/.test(process.args.join(' '))) continue
    const { pid, cwd } = process
    const sockets = await listeningSockets(procRoot, pid, cwd)
    const ports = await listeningPorts(procRoot, pid)
    const where = ports[0]?.port ?? sockets[0] ?? `process ${pid}`
    servers.push({
      name: `redis ${where}`, process,
      addresses: [...sockets.map((path) => ({ path })), ...ports].slice(0, MAX_ADDRESSES),
    })
  }
  return servers.map((server) =>
    servers.filter(({ name }) => name === server.name).length === 1 ? server
      : { ...server, name: `${server.name}, process ${server.process.pid}` })
}

export interface ReachOptions {
  readonly clock: Clock
  readonly account: RedisAccount | undefined
  readonly connectMs: number
  readonly askMs: number
}

/**
 * A session with that very process: an address may lead to another server where it has a network of
 * its own. Also tells the address. Faults: `writer-failed`, `writer-timeout`.
 */
export async function reach(
  { name, addresses, process: { ownPids } }: RedisServer,
  { clock, account, connectMs, askMs }: ReachOptions, signal: AbortSignal,
): Promise<{ session: RedisSession; address: RedisAddress }> {
  let cause: unknown = new Fault('writer-failed', 'it listens on no unix socket or loopback port')
  for (const address of addresses) {
    let session: RedisSession | undefined
    try {
      session = await RedisSession.connect(address, account, clock, connectMs, signal)
      const state = await askState(session, askMs, signal)
      if (ownPids.includes(state.number('process_id'))) return { session, address }
      throw new Fault('writer-failed', 'another server answers at its address', {
        advice: 'It may run in a container: run an agent in there.' })
    } catch (error) {
      session?.destroy()
      if (signal.aborted) throw error
      cause = error
    }
  }
  throw new Fault('writer-failed', `${printable(name)} cannot be asked`, {
    cause,
    ...(cause instanceof Fault && cause.advice !== undefined ? { advice: cause.advice } : {}),
  })
}

/** As it was found; a server that cannot be asked is known all the same. */
export async function describe(
  server: RedisServer, procRoot: string, options: ReachOptions, signal: AbortSignal,
): Promise<DiscoveredApplication> {
  const { name, process: { pid } } = server
  try {
    const { session } = await reach(server, options, signal)
    try {
      const settings = await askSettings(session, options.askMs, signal)
      const state = await askState(session, options.askMs, signal)
      const paths = await pathsOf(settings, state.get('config_file'), `${procRoot}/${pid}/root`)
      const data = await locatePlaces(paths, pid, procRoot)
      return settings.persistence === 'nothing'
        ? { name, kind: 'incidental', recovery: 'none', data, advice: KEEPS_NOTHING }
        : { name, kind: 'protected', recovery: recoveryOf(settings), data }
    } finally {
      session.destroy()
    }
  } catch (error) {
    if (signal.aborted) throw error
    const detail = printable(causesOf(error).join(': '), 1000)
    return { name, kind: 'protected', recovery: 'unknown', data: { state: 'unknown', detail } }
  }
}

/**
 * A save is whole or not there. A log that was cut off by a loss of power may end in zeros, where
 * the file system had made it longer and not yet filled it; then no server starts (measured on 7.0
 * and ext4) until `redis-check-aof --fix` has cut them off.
 */
function recoveryOf({ persistence }: RedisSettings): DiscoveredApplication['recovery'] {
  return persistence === 'rdb' ? 'self' : 'unknown'
}

/** A cache: there is nothing of it that a backup could hold, or lose. */
export const KEEPS_NOTHING = 'It keeps nothing on disk (appendonly no, save ""): ' +
  'if its contents matter, turn one of them on.'

async function pathsOf(
  settings: RedisSettings, configFile: string | undefined, itsRoot: string,
): Promise<readonly string[]> {
  const { folder, aofFolder, aclFile, persistence } = settings
  const paths = [folder]
  if (persistence === 'aof' && aofFolder !== undefined) {
    const parts = join(folder, aofFolder) // may be a mount of its own; made when it is first needed
    if (await stat(itsRoot + parts).catch(() => undefined) !== undefined) paths.push(parts)
  }
  if (aclFile !== undefined) paths.push(aclFile)
  if (configFile?.startsWith('/') === true) paths.push(configFile)
  return paths
}
