/** What `guest-get-fsinfo` answers (QEMU Guest Agent Protocol Reference, GuestFilesystemInfo). */

import { Fault } from '../../base/fault.ts'
import { isJsonObject } from '../../base/json.ts'

/** How the guest addresses a disk; what the agent leaves out is undefined. All foreign. */
export interface AgentDiskAddress {
  readonly busType: string
  readonly serial: string | undefined
  readonly bus: number
  readonly target: number
  readonly unit: number
  readonly pci: {
    readonly domain: number
    readonly bus: number
    readonly slot: number
    readonly function: number
  }
}

export interface AgentFileSystem {
  readonly mountpoint: string
  readonly type: string
  readonly device: string
  readonly disks: readonly AgentDiskAddress[]
}

/** A guest with more mounts, or a file system over more disks, is not a guest but an attack. */
const MAX_FILE_SYSTEMS = 4096
const MAX_DISKS = 256
const MAX_TEXT = 4096

/** Faults: `agent-protocol`. */
export function parseFileSystems(value: unknown): readonly AgentFileSystem[] {
  return list(value, MAX_FILE_SYSTEMS).map((entry) => {
    const fields = object(entry)
    return {
      mountpoint: text(fields['mountpoint']),
      type: text(fields['type']),
      device: text(fields['name']),
      disks: list(fields['disk'] ?? [], MAX_DISKS).map(parseDisk),
    }
  })
}

function parseDisk(value: unknown): AgentDiskAddress {
  const fields = object(value)
  const pci = object(fields['pci-controller'])
  return {
    busType: text(fields['bus-type']),
    serial: fields['serial'] === undefined ? undefined : text(fields['serial']),
    bus: integer(fields['bus']),
    target: integer(fields['target']),
    unit: integer(fields['unit']),
    pci: {
      domain: integer(pci['domain']),
      bus: integer(pci['bus']),
      slot: integer(pci['slot']),
      function: integer(pci['function']),
    },
  }
}

function list(value: unknown, limit: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > limit) throw nonsense()
  return value as readonly unknown[]
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (!isJsonObject(value)) throw nonsense()
  return value
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.length > MAX_TEXT) throw nonsense()
  return value
}

/** The agent states -1 where it does not know. */
function integer(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw nonsense()
  return value
}

function nonsense(): Fault {
  return new Fault('agent-protocol',
    'the list of file systems that the agent sent cannot be understood')
}
