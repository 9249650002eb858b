/** The process that locks are taken for. */

import type { Clock } from '../base/clock.ts'

/** The process that takes locks, and what it can tell about its neighbours. */
export interface LockHolder {
  readonly hostname: string
  readonly username: string
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Wall time at which this process began. */
  readonly startedAtMs: number
  /** Whether a process of this host exists. */
  isAlive(pid: number): boolean
}

/**
 * This process. Its host name in locks begins with `stillpoint-`: a restic on the same host must
 * not judge our process, which may run in another namespace of process ids.
 */
export function thisProcess(hostname: string, username: string, clock: Clock): LockHolder {
  return {
    hostname: `stillpoint-${hostname}`,
    username,
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    startedAtMs: clock.nowMs() - process.uptime() * 1000,
    isAlive,
  }
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // A process of another user may not be signalled, and is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
