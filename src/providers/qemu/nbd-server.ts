/** QEMU's one NBD server, started for us alone on a socket in the run directory. */

import { connect } from 'node:net'
import { readdir, unlink } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'

/** The server of one run. It is stopped only if it was started by us. */
export interface OwnNbdServer {
  /** Names the machine, so that a leftover can be told. */
  readonly socketPath: string
  isStarted: boolean
}

/** The server of a run that has not started it. */
export function plannedNbdServer(
  runDir: string, qmpPath: string, run: string): OwnNbdServer {
  return { socketPath: join(runDir, `${socketPrefix(qmpPath)}${run}.sock`), isStarted: false }
}

function socketPrefix(qmpPath: string): string {
  return `nbd-${createHash('sha256').update(qmpPath).digest('hex').slice(0, 8)}-`
}

/**
 * Starts the server. One that a killed run of ours left without exports is ended first; anybody
 * else's is never touched. Faults: `machine-busy`, `platform-refused` with advice.
 */
export async function startNbdServer(
  client: QmpClient, server: OwnNbdServer, runDir: string, signal: AbortSignal): Promise<void> {
  const { socketPath: path } = server
  const start = async (): Promise<void> => {
    await client.execute('nbd-server-start', { addr: { type: 'unix', data: { path } } }, signal)
    server.isStarted = true
  }
  try {
    await start()
  } catch (error) {
    if (!isFault(error, 'platform-refused')) throw error
    if (!/already running/i.test(error.message)) {
      throw new Fault('platform-refused', error.message, {
        cause: error,
        advice: `Run as the user that runs QEMU, who must be able to make a socket in ${
          printable(runDir)}.` })
    }
    const isOurs = await isLeftover(runDir, client.path)
    const exports = await ask(client, 'query-block-exports', signal)
    if (!isOurs || exports.length > 0) throw busy()
    await client.execute('nbd-server-stop', {}, signal)
    await start()
  }
  await removeDeadSockets(runDir, client.path, path)
}

function busy(): Fault {
  return new Fault('machine-busy', 'the machine has an NBD server that is not ours', {
    retry: 'later',
    advice: 'Wait for the other backup or export to end, or end it with nbd-server-stop.' })
}

/** QEMU does not tell where its server listens; a socket of our naming that answers is its. */
async function isLeftover(runDir: string, qmpPath: string): Promise<boolean> {
  for (const file of await socketsOf(runDir, qmpPath)) {
    if (await isServed(file)) return true
  }
  return false
}

async function removeDeadSockets(runDir: string, qmpPath: string, keep: string): Promise<void> {
  for (const file of await socketsOf(runDir, qmpPath)) {
    if (file !== keep && !await isServed(file)) await unlink(file).catch(() => {})
  }
}

async function socketsOf(runDir: string, qmpPath: string): Promise<readonly string[]> {
  const prefix = socketPrefix(qmpPath)
  return (await readdir(runDir)).filter((name) => name.startsWith(prefix))
    .map((name) => join(runDir, name))
}

/** Whether somebody listens there. Never throws. */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
