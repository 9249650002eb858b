/** The names of what we create for a machine of libvirt: they tell leftovers, and whose. */

import { MARK, markedProcess, processMark, type MarkedProcess } from '../../base/process-mark.ts'
import { OURS, runNames } from '../machine/run-names.ts'

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
  const whose = `${prefix}${uuid.slice(0, 8)}-${processMark()}-`
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
  readonly process: MarkedProcess
}

const FILE = new RegExp(
  `^${OURS}([0-9a-f]{8})-([0-9a-f]{8})-(${MARK})-[\\w-]+\\.(?:qcow2|xml|nbd)$`)

/** Whose file has that name; undefined for one that is not ours. */
export function ownerOf(fileName: string): FileOwner | undefined {
  const [, run, machine, mark] = FILE.exec(fileName) ?? []
  if (run === undefined || machine === undefined || mark === undefined) return undefined
  return { run, machine, process: markedProcess(mark) }
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
