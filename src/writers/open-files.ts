/** Which files the processes of this machine have open (proc(5), `fd`), and who is a service. */

import { readdirSync, readlinkSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { throwIfAborted } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { readSmallFile } from './small-file.ts'

export interface OpenFile {
  readonly pid: number
  /** Absolute, as its process calls it. */
  readonly path: string
}

/** A busy server has some thousand; each costs a system call. */
const MAX_DESCRIPTORS = 200_000
const MAX_STATUS_BYTES = 64 * 1024

/**
 * Every file, by process. A process that ends meanwhile is left out; of one that may not be looked
 * at `onHidden` is told: only root may look at those of other accounts. Fault: `writer-failed` if
 * there are more than can be looked through.
 */
export async function* openFiles(
  procRoot: string, signal: AbortSignal, onHidden: (pid: number) => void = () => {},
): AsyncGenerator<OpenFile> {
  const pids = (await readdir(procRoot)).filter((name) => /^\d{1,10}$/.test(name)).map(Number)
  let count = 0
  for (const pid of pids.toSorted((a, b) => a - b)) {
    throwIfAborted(signal)
    const folder = `${procRoot}/${pid}/fd`
    const descriptors = readDescriptors(folder, () => onHidden(pid))
    count += descriptors.length
    if (count > MAX_DESCRIPTORS) {
      throw new Fault('writer-failed', `more than ${MAX_DESCRIPTORS} files are open`, {
        advice: 'Name the databases in the configuration of the agent.' })
    }
    const seen = new Set<string>()
    for (const name of descriptors) {
      const path = readDescriptor(`${folder}/${name}`)
      if (!path.startsWith('/') || path.startsWith('/dev/') || seen.has(path)) continue
      seen.add(path)
      yield { pid, path }
    }
  }
}

/** Not asynchronous, as `readComm`: the kernel answers at once, of what it has in memory. */
function readDescriptors(folder: string, onHidden: () => void): readonly string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'ESRCH') onHidden()
    return []
  }
}

function readDescriptor(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/**
 * True for what the system runs, and not a person who is logged in: a unit of systemd's that is no
 * session's, a container; without systemd, whatever has no terminal. False where it is not known.
 */
export async function isService(procRoot: string, pid: number): Promise<boolean> {
  try {
    const groups = await readSmallFile(`${procRoot}/${pid}/cgroup`, MAX_STATUS_BYTES)
    if (/\/user\.slice\//.test(groups)) return false
    if (/\/system\.slice\/|\.service(\/|$)|docker|libpod|kubepods|lxc/m.test(groups)) return true
    // The name of the program stands in brackets and may hold any of them.
    const stat = await readSmallFile(`${procRoot}/${pid}/stat`, MAX_STATUS_BYTES)
    const [, , , , terminal] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return terminal === '0'
  } catch {
    return false
  }
}
