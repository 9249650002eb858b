/** The names of what we create in a machine: all begin alike, so that leftovers can be told. */

import { createHash } from 'node:crypto'

/** Begins the name of every node, export, job and scratch file of ours. */
export const OURS = 'stillpoint-'

/** QEMU limits node names to 31 characters. */
export interface RunNames {
  /** `stillpoint-1a2b3c4d-`, 20 characters. */
  readonly prefix: string
  /** What tells this run: `1a2b3c4d`. */
  readonly run: string
  /** The scratch overlay of the disk of that number; 0 to 9 999 999. */
  target(disk: number): string
  /** The copy-before-write filter over the disk. */
  filter(disk: number): string
  /** The node that shows the instant, and the export of it. */
  access(disk: number): string
  job(disk: number): string
}

/** Names for one run on a machine. */
export function runNames(pointId: string): RunNames {
  const hex = pointId.replaceAll('-', '').toLowerCase()
  const run = /^[0-9a-f]{8}/.test(hex)
    ? hex.slice(0, 8) : createHash('sha256').update(pointId).digest('hex').slice(0, 8)
  const prefix = `${OURS}${run}-`
  return {
    prefix,
    run,
    target: (disk) => `${prefix}t${disk}`,
    filter: (disk) => `${prefix}f${disk}`,
    access: (disk) => `${prefix}a${disk}`,
    job: (disk) => `${prefix}j${disk}`,
  }
}
