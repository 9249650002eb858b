/** Marks of which process made something, so that a later one knows what a killed run left. */

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** `elsewhere`: of another host or container; it cannot be told whether it lives. */
export type MarkedProcess = 'alive' | 'gone' | 'elsewhere'

/** The source of the expression that a mark fits; it captures nothing. */
export const MARK = '[0-9a-f]{16}-[0-9a-z]{1,7}-[0-9a-z]{1,13}'

/** Where a process runs: each part tells its own from others. All empty where there is no /proc. */
export interface Whereabouts {
  /** The same on this host for ever (machine-id(5), which is told to nobody as it is). */
  readonly host: string
  /** Of this start of the host. */
  readonly boot: string
  /** Of the container: process ids of two have nothing to do with each other. */
  readonly space: string
}

const HERE = whereabouts()

/** This process, short enough for the path of a socket: `HOST BOOT SPACE-PID-START`. */
export function processMark(pid = process.pid, here = HERE, startOf = processStart): string {
  const { host, boot, space } = here
  const where = digits(host, 8) + digits(boot, 4) + digits(space, 4)
  return `${where}-${pid.toString(36)}-${Number(startOf(pid)).toString(36)}`
}

/** What has become of the process of a mark. */
export function markedProcess(mark: string, here = HERE, startOf = processStart): MarkedProcess {
  const pid = Number.parseInt(mark.split('-')[1] ?? '', 36)
  const ours = processMark(pid, here, startOf)
  if (here.boot === '' || ours.slice(0, 8) !== mark.slice(0, 8)) return 'elsewhere'
  if (ours.slice(8, 12) !== mark.slice(8, 12)) return 'gone' // with the boot, in any container
  if (ours.slice(12, 16) !== mark.slice(12, 16)) return 'elsewhere'
  return ours === mark && startOf(pid) !== '' ? 'alive' : 'gone'
}

/** When the process `pid` started, in the kernel's words (proc(5), stat field 22); '' if gone. */
export function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field, the program's name, may itself hold blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? '' : fields[19] ?? ''
  } catch {
    return ''
  }
}

function digits(text: string, count: number): string {
  return createHash('sha256').update(`stillpoint ${text}`).digest('hex').slice(0, count)
}

function whereabouts(): Whereabouts {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return { host: `${machineId()} ${hostname()}`, boot, space: readlinkSync('/proc/self/ns/pid') }
  } catch {
    return { host: '', boot: '', space: '' }
  }
}

/** Containers as a rule have none. */
function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'latin1').trim()
  } catch {
    return ''
  }
}
