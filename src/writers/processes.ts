/** Servers that run on this machine, found by their program (proc(5)). */

import { readdir, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { throwIfAborted } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import { readComm, readSmallFile } from './small-file.ts'

export interface ServerProcess {
  readonly pid: number
  readonly parent: number
  /** Its process ids from our namespace to its own: more than one in a container. */
  readonly ownPids: readonly number[]
  /** The user it runs as. */
  readonly uid: number
  /** Base name of its executable. */
  readonly program: string
  readonly args: readonly string[]
  /** Its working folder, as it calls it. */
  readonly cwd: string
}

const MAX_STATUS_BYTES = 64 * 1024
const MAX_ARGS_BYTES = 256 * 1024
/** Twice the usual greatest number of processes. */
const MAX_PROCESSES = 65_536

/** One that has the name of a server and may not be looked at: of another account than ours. */
export interface HiddenProcess {
  readonly pid: number
  readonly parent: number
  /** `writer-failed` */
  readonly why: Fault
}

export interface FoundProcesses {
  readonly seen: readonly ServerProcess[]
  readonly hidden: readonly HiddenProcess[]
}

/**
 * Processes whose executable has one of these base names, by process id. One that ends meanwhile is
 * left out. Fault: `writer-failed` if there is one that may not be looked at.
 */
export async function findProcesses(
  procRoot: string, programs: readonly string[], signal: AbortSignal,
): Promise<readonly ServerProcess[]> {
  const { seen, hidden: [hidden] } = await lookForProcesses(procRoot, programs, signal)
  if (hidden !== undefined) throw hidden.why
  return seen
}

/** As `findProcesses`, and those that may not be looked at. */
export async function lookForProcesses(
  procRoot: string, programs: readonly string[], signal: AbortSignal): Promise<FoundProcesses> {
  const seen: ServerProcess[] = []
  const hidden: HiddenProcess[] = []
  for (const pid of await processIds(procRoot)) {
    throwIfAborted(signal)
    const server = await readProcess(`${procRoot}/${pid}`, pid, programs)
    if (server === undefined) continue
    if ('why' in server) hidden.push(server)
    else seen.push(server)
  }
  return { seen, hidden }
}

/** All there are, the smallest first. Fault: `writer-failed` if they are more than can be. */
export async function processIds(procRoot: string): Promise<readonly number[]> {
  const pids = (await readdir(procRoot)).filter((name) => /^\d{1,10}$/.test(name)).map(Number)
  if (pids.length > MAX_PROCESSES) {
    throw new Fault('writer-failed', `there are more than ${MAX_PROCESSES} processes`)
  }
  return pids.toSorted((a, b) => a - b)
}

async function readProcess(
  folder: string, pid: number, programs: readonly string[],
): Promise<ServerProcess | HiddenProcess | undefined> {
  try {
    // Anybody may read `comm`; the kernel keeps 15 bytes of a program's name there.
    const comm = readComm(folder)
    if (!programs.some((name) => name.slice(0, 15) === comm)) return undefined
    const executable = (await readlink(`${folder}/exe`)).replace(/ \(deleted\)$/, '')
    const program = basename(executable)
    if (!programs.includes(program)) return undefined
    const status = await readSmallFile(`${folder}/status`, MAX_STATUS_BYTES)
    return {
      pid, program, cwd: await readlink(`${folder}/cwd`),
      parent: Number(field(status, 'PPid')[0]),
      ownPids: field(status, 'NSpid').map(Number),
      uid: Number(field(status, 'Uid')[1]), // real, effective, saved, file system
      args: (await readSmallFile(`${folder}/cmdline`, MAX_ARGS_BYTES)).split('\0'),
    }
  } catch (error) {
    if (isGone(error)) return undefined
    if (isFault(error)) throw error
    // Whose child it is, anybody may read.
    const status = await readSmallFile(`${folder}/status`, MAX_STATUS_BYTES).catch(() => '')
    return { pid, parent: Number(field(status, 'PPid')[0] ?? 0), why: new Fault(
      'writer-failed', `process ${pid} may be a server and cannot be looked at`, {
        cause: error,
        advice: 'Run the agent as root: it must see the files of the servers it asks.' }) }
  }
}

function field(status: string, name: string): readonly string[] {
  const line = status.split('\n').find((it) => it.startsWith(`${name}:`))
  return line === undefined ? [] : line.slice(name.length + 1).trim().split(/\s+/)
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ESRCH')
}
