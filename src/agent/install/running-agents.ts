/** Agents that run, found by their executable (proc(5)). */

import { readdir, readlink } from 'node:fs/promises'

export interface RunningAgent {
  readonly pid: number
  /** False: the file that it runs was replaced or removed since. */
  readonly isCurrent: boolean
}

const DELETED = ' (deleted)'

/** All but this process; of others' processes only root sees which file they run. */
export async function runningAgents(
  executable: string, procRoot = '/proc'): Promise<readonly RunningAgent[]> {
  const found: RunningAgent[] = []
  for (const name of await readdir(procRoot).catch(() => [])) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    const path = await readlink(`${procRoot}/${name}/exe`).catch(() => '')
    if (path === executable) found.push({ pid, isCurrent: true })
    else if (path === `${executable}${DELETED}`) found.push({ pid, isCurrent: false })
  }
  return found
}
