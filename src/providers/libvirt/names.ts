/** The names of what we create for a machine of libvirt: they tell leftovers, and whose. */

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { processStart } from '../guardian/record.ts'
import { OURS, runNames } from '../machine/run-names.ts'

/** What tells processes of one host and boot, and of one container, from all others. */
const HERE = createHash('sha256').update(bootId()).digest('hex').slice(0, 8)

export interface JobNames {
  /** `stillpoint-1a2b3c4d-`. */
  readonly prefix: string
  readonly run: string
  /** The file name of the socket that the captured disks are read from. */
  readonly socket: string
  /** The file name of a disk's scratch file: it tells whose it is, and by which process. */
  scratch(diskName: string): string
  /** The name of the folder for the socket of the server of that number, of a machine at rest. */
  folder(server: number): string
  /** The file name of what virsh is given to read, told the same way. */
  document(what: string): string
}

/** Names for one run, by this process, on one machine. */
export function jobNames(pointId: string, uuid: string): JobNames {
  const { prefix, run } = runNames(pointId)
  const whose =
    `${prefix}${uuid.slice(0, 8)}-${HERE}-${process.pid}-${processStart(process.pid)}-`
  return {
    prefix, run, socket: `${prefix}nbd.sock`,
    scratch: (diskName) => `${whose}${diskName.replaceAll(/[^\w-]/g, '_')}.qcow2`,
    folder: (server) => `${whose}${server}.nbd`,
    document: (what) => `${whose}${what}.xml`,
  }
}

/** Whose a file is. */
export interface FileOwner {
  readonly run: string
  /** The first eight digits of the machine's UUID. */
  readonly machine: string
  /** `elsewhere`: another host, boot or container; it cannot be told whether it lives. */
  readonly process: 'alive' | 'gone' | 'elsewhere'
}

const FILE = new RegExp(`^${OURS}([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-` +
  '(\\d{1,10})-(\\d{1,20})-[\\w-]+\\.(?:qcow2|xml|nbd)$')

/** Whose file has that name; undefined for one that is not ours. */
export function ownerOf(fileName: string): FileOwner | undefined {
  const [, run, machine, here, pid, start] = FILE.exec(fileName) ?? []
  if (run === undefined || machine === undefined) return undefined
  return { run, machine, process: here !== HERE ? 'elsewhere'
    : processStart(Number(pid)) === start ? 'alive' : 'gone' }
}

const CHECKPOINT =
  /^stillpoint\.([0-9a-f]{64})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

/** `stillpoint.<repository id>.<point UUID>`; libvirt's schema allows letters, digits and `.-_`. */
export function checkpointName(repositoryId: string, pointId: string): string {
  return `stillpoint.${repositoryId}.${pointId}`
}

/** Undefined for a checkpoint that is not ours. */
export function parseCheckpoint(
  name: string): { readonly repositoryId: string; readonly pointId: string } | undefined {
  const [, repositoryId, pointId] = CHECKPOINT.exec(name) ?? []
  return repositoryId === undefined || pointId === undefined
    ? undefined : { repositoryId, pointId }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8') +
      readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}
