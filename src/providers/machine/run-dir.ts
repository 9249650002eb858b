/** The run directory: sockets and hold records, for our eyes alone. */

import { lstat, mkdir } from 'node:fs/promises'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'

/**
 * `/run/stillpoint` for root, else the user's own (FHS 3.15; systemd keeps `/run/user/UID`). The
 * same for every run, whatever its environment: the next run must find what a killed one recorded.
 */
export function defaultRunDir(userId: number): string {
  return userId === 0 ? '/run/stillpoint' : `/run/user/${userId}/stillpoint`
}

/**
 * Makes the folder, mode 0700, if it is not there. A folder that others could write is refused:
 * who forges a hold record has machines resumed. Faults: `io-error`.
 */
export async function ensureRunDir(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const found = await lstat(folder)
    if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
      throw new Fault('io-error', `the run directory ${printable(folder)} is not ours alone`, {
        advice: 'Remove it, or name another run directory.' })
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    throw new Fault('io-error', `the run directory ${printable(folder)} cannot be made`, {
      cause, advice: 'Run as root, or name a run directory that this user may make.' })
  }
}
