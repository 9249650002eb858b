/** How names of files tell which process made them, so that a later one knows leftovers. */

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { processStart } from '../guardian/record.ts'

/** What tells processes of one host and boot, and of one container, from all others. */
const HERE = createHash('sha256').update(bootId()).digest('hex').slice(0, 8)

/** `elsewhere`: another host, boot or container; it cannot be told whether it lives. */
export type MarkedProcess = 'alive' | 'gone' | 'elsewhere'

/** This process: `1a2b3c4d-PID-START`. */
export function processMark(): string {
  return `${HERE}-${process.pid}-${processStart(process.pid)}`
}

/** The source of the expression that a mark fits; it captures nothing. */
export const MARK = '[0-9a-f]{8}-\\d{1,10}-\\d{1,20}'

/** What has become of the process of a mark. */
export function markedProcess(mark: string): MarkedProcess {
  const [here, pid, start] = mark.split('-')
  if (here !== HERE) return 'elsewhere'
  return processStart(Number(pid)) === start ? 'alive' : 'gone'
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8') +
      readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}
