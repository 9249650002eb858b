/**
 * Takes this process out of its control group, so that what kills the requestor's whole group (a
 * service manager that stops a unit, a container's end) does not kill the guardian too.
 *
 * Source: Linux kernel documentation, "Control Group v2", sections "Organizing Processes and
 * Threads" and "Delegation". Without the right to do it the guardian stays where it is.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The group of all guardians, at the top of the hierarchy; empty most of the time. */
export const GUARDIAN_GROUP = 'stillpoint-guardian'

/** `moved`; `alone`: it is in no group that could be killed; or why it had to stay. */
export type Leaving = 'moved' | 'alone' | { readonly stays: string }

/** Never throws. */
export function leaveControlGroup(pid: number): Leaving {
  try {
    const own = ownGroup(readFileSync('/proc/self/cgroup', 'utf8'))
    const top = unifiedMount(readFileSync('/proc/self/mountinfo', 'utf8'))
    if (own === undefined || top === undefined) return { stays: 'no unified hierarchy is mounted' }
    if (own === '/') return 'alone'
    const group = join(top, GUARDIAN_GROUP)
    mkdirSync(group, { recursive: true })
    writeFileSync(join(group, 'cgroup.procs'), String(pid))
    return 'moved'
  } catch (error) {
    return { stays: error instanceof Error ? error.message : String(error) }
  }
}

/** The group's path in the unified hierarchy: the line `0::PATH` of /proc/PID/cgroup. */
export function ownGroup(cgroups: string): string | undefined {
  return /^0::(\/.*)$/m.exec(cgroups)?.[1]
}

/** Where the unified hierarchy is mounted, by /proc/PID/mountinfo (proc(5)). */
export function unifiedMount(mounts: string): string | undefined {
  for (const line of mounts.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    if (after.startsWith('cgroup2 ')) return before.split(' ')[4]
  }
  return undefined
}
