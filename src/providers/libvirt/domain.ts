/** One machine of libvirt: its definition and its state (libvirt.org, "Domain XML format"). */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { childAt, childrenOf, parseXml, type XmlElement } from '../../base/xml.ts'
import type { PowerState } from '../../consistency/mod.ts'
import type { VirshCommands } from './virsh.ts'

export interface Domain {
  readonly uuid: string
  readonly name: string
  /** libvirt's number of this run of the machine; undefined while it is off. */
  readonly id: number | undefined
  /** As it runs now; as it is defined if it is off. */
  readonly xml: XmlElement
  /** `domstats`: `virDomainState` and the reason beside it. */
  readonly state: { readonly state: number; readonly reason: number }
  /** By target name (`vda`): what the guest sees, in bytes; none where libvirt does not tell. */
  readonly sizes: ReadonlyMap<string, number>
  /** libvirt tells no disk of a machine that runs while a job of its keeps the machine busy. */
  readonly isBusy: boolean
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** A host that has more is none that is listed in one go. */
const MAX_DOMAINS = 10_000

/** UUIDs of all machines, running or not. Faults: `platform-*`. */
export async function listDomains(
  virsh: VirshCommands, signal: AbortSignal): Promise<readonly string[]> {
  const found = (await virsh.run(['list', '--all', '--uuid'], signal))
    .split('\n').map((line) => line.trim()).filter((line) => line !== '')
  if (found.length > MAX_DOMAINS || !found.every((line) => UUID.test(line))) throw nonsense()
  return found
}

/** The UUID of the machine of that name, or with that UUID. Faults: `machine-not-found`. */
export async function findDomain(
  virsh: VirshCommands, name: string, signal: AbortSignal): Promise<string> {
  const uuid = UUID.test(name) ? name
    : (await virsh.run(['domuuid', '--domain', name], signal)).trim()
  if (!UUID.test(uuid)) throw nonsense()
  return uuid
}

/**
 * The machine with its disks' sizes, for who captures it. Faults: as `readDomain`, `machine-busy`.
 */
export async function readIdleDomain(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<Domain> {
  const domain = await readDomain(virsh, uuid, signal)
  if (!domain.isBusy) return domain
  throw new Fault('machine-busy', 'a job of libvirt keeps the machine and hides its disks', {
    retry: 'later', advice: 'Wait until it has ended. Look at it with: virsh domjobinfo.' })
}

/** Faults: `machine-not-found`, `platform-*`. */
export async function readDomain(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<Domain> {
  const xml = parseXml(await virsh.run(['dumpxml', uuid], signal), 'the definition of the machine',
    'platform-protocol')
  const { knowsDisks, ...stats } = readStats(
    await virsh.run(['domstats', uuid, '--state', '--block'], signal))
  const name = childAt(xml, 'name')?.text
  if (xml.name !== 'domain' || name === undefined || name === '') throw nonsense()
  const id = xml.attributes.get('id')
  const state = await isSaved(virsh, uuid, stats.state, signal)
    ? { state: SHUTOFF, reason: SHUTOFF_SAVED } : stats.state
  const hasDisks = childAt(xml, 'devices', 'disk') !== undefined
  return {
    uuid, name, xml, state, sizes: stats.sizes,
    id: id !== undefined && /^\d{1,9}$/.test(id) ? Number(id) : undefined,
    isBusy: id !== undefined && hasDisks && !knowsDisks,
  }
}

/** libvirtd, started anew, has forgotten why a machine is off, but not that its memory is kept. */
async function isSaved(
  virsh: VirshCommands, uuid: string, { state }: Domain['state'], signal: AbortSignal,
): Promise<boolean> {
  if (state !== SHUTOFF) return false
  return /^Managed save:\s*yes\s*$/m.test(await virsh.run(['dominfo', uuid], signal))
}

function readStats(
  text: string): Pick<Domain, 'state' | 'sizes'> & { readonly knowsDisks: boolean } {
  const values = new Map(text.split('\n').flatMap((line) => {
    const [, key, value] = /^ {2}([\w.]+)=(.*)$/.exec(line) ?? []
    return key === undefined || value === undefined ? [] : [[key, value] as const]
  }))
  const number = (key: string): number | undefined => {
    const value = values.get(key)
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined
  }
  const sizes = new Map<string, number>()
  const count = Math.min(number('block.count') ?? 0, 4096)
  for (let index = 0; index < count; index++) {
    const target = values.get(`block.${index}.name`)
    const size = number(`block.${index}.capacity`)
    if (target !== undefined && size !== undefined) sizes.set(target, size)
  }
  const state = number('state.state')
  if (state === undefined) throw nonsense()
  return {
    sizes, state: { state, reason: number('state.reason') ?? 0 },
    knowsDisks: values.has('block.count'),
  }
}

/** virDomainState, virDomainPausedReason, virDomainShutoffReason (libvirt-domain.h). */
const RUNNING = 1
const BLOCKED = 2
const PAUSED = 3
const SHUTDOWN = 4
const SHUTOFF = 5
const PMSUSPENDED = 7
const PAUSED_IOERROR = 5
const PAUSED_CRASHED = 10
const SHUTOFF_SAVED = 5

/** Faults: `machine-not-ready` in states that cannot be captured. */
export function powerOf({ state: { state, reason } }: Pick<Domain, 'state'>): PowerState {
  switch (state) {
    case RUNNING: case BLOCKED: case SHUTDOWN: return 'running'
    case PAUSED:
      if (reason === PAUSED_IOERROR) {
        throw notReady('its disks failed or their host ran out of space',
          'Cure that, then run: virsh resume.')
      }
      if (reason === PAUSED_CRASHED) throw notReady('its guest crashed', 'Look at its console.')
      return 'paused'
    case PMSUSPENDED: return 'paused'
    case SHUTOFF: return reason === SHUTOFF_SAVED ? 'saved' : 'off'
    default:
      throw notReady(`it is in libvirt's state ${state}`, 'Look at: virsh domstate --reason.')
  }
}

/** True if QEMU stopped the machine because a disk, or its scratch file, could not be written. */
export function isStoppedByError({ state: { state, reason } }: Pick<Domain, 'state'>): boolean {
  return state === PAUSED && reason === PAUSED_IOERROR
}

function notReady(why: string, advice: string): Fault {
  return new Fault('machine-not-ready', `the machine cannot be captured: ${why}`, {
    retry: 'later', advice })
}

/** The channel's element of that name, by which the guest's end is known. */
export function channelNamed(xml: XmlElement, name: string): XmlElement | undefined {
  return childrenOf(childAt(xml, 'devices'), 'channel').find((channel) =>
    childAt(channel, 'target')?.attributes.get('name') === name)
}

function nonsense(): Fault {
  return new Fault('platform-protocol', 'libvirt said something that cannot be understood: ' +
    printable('virsh and libvirtd may be of versions that do not fit'))
}
