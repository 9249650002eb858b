/** The tiny guest as a machine of libvirt: its definition, and its witness once it runs. */

import { join } from 'node:path'
import { deadline, type Clock } from '../base/clock.ts'
import { escapeXml } from '../base/xml.ts'
import { defaultCacheDir } from './cache.ts'
import { makeDisk, type GuestDisk, type GuestDiskOptions } from './disk-images.ts'
import { kernelParameters, settingsLine, type AgentMode, type HookOptions } from './qemu-command.ts'
import { MEMORY_MIB, newDisks, type GuestKind } from './running-guest.ts'
import { buildTinyGuest } from './tiny-image.ts'
import { connectWitness, WitnessLog, type Witness } from './witness.ts'

export interface GuestDomainOptions {
  readonly name: string
  readonly uuid: string
  /** An existing folder with a short path, for the disks, the console and the witness. */
  readonly folder: string
  /** Default: the tiny one. The full one has the port of the agent of Stillpoint. */
  readonly kind?: GuestKind
  /** Default: those of the kind, blank ones of a tiny guest. They become `vda`, `vdb` … */
  readonly disks?: readonly GuestDiskOptions[]
  /** Further elements of `<devices>`. */
  readonly devices?: string
  readonly cacheDir?: string
}

export interface GuestDomain {
  /** For `virsh define` or `virsh create`; emulated, started without a boot loader. */
  readonly xml: string
  /** The `<os>` element alone, for another machine with the same guest. */
  readonly os: string
  readonly disks: readonly GuestDisk[]
  readonly witnessPath: string
}

const READY_MS = 300_000

/** Builds the image if need be and makes the disks. Faults: as `startGuest`. */
export async function makeGuestDomain(
  options: GuestDomainOptions, signal: AbortSignal): Promise<GuestDomain> {
  const { name, uuid, folder, kind = 'tiny', cacheDir = defaultCacheDir() } = options
  const image = await buildTinyGuest(cacheDir, signal)
  const disks: GuestDisk[] = []
  for (const disk of options.disks ?? await newDisks(kind, cacheDir, signal)) {
    disks.push(await makeDisk(disk, folder, signal))
  }
  const os = `<os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>${escapeXml(image.kernel)}</kernel><initrd>${escapeXml(image.initrd)}</initrd>
    <cmdline>${escapeXml(kernelParameters(kind, disks.length).join(' '))}</cmdline></os>`
  const witnessPath = join(folder, 'witness')
  return { os, disks, witnessPath, xml: `<domain type='qemu'>
  <name>${escapeXml(name)}</name><uuid>${uuid}</uuid>
  <memory unit='MiB'>${MEMORY_MIB[kind]}</memory><vcpu>1</vcpu>
  ${os}
  <features><acpi/></features><on_reboot>destroy</on_reboot>
  <devices>
    ${disks.map(diskXml).join('\n    ')}
    ${guestPorts(witnessPath)}
    ${kind === 'full' ? agentPort(join(folder, 'channel')) : ''}
    <serial type='file'><source path='${escapeXml(join(folder, 'serial.log'))}'/></serial>
    <memballoon model='none'/>
    ${options.devices ?? ''}
  </devices>
</domain>
` }
}

/** The ports that the guest serves: qemu-ga's, whose socket libvirt holds, and the witness'. */
export function guestPorts(witnessPath: string): string {
  return `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'><source mode='bind' path='${escapeXml(witnessPath)}'/>
      <target type='virtio' name='stillpoint.witness'/></channel>`
}

function agentPort(path: string): string {
  return `<channel type='unix'><source mode='bind' path='${escapeXml(path)}'/>
      <target type='virtio' name='org.stillpoint.agent.0'/></channel>`
}

function diskXml(disk: GuestDisk, index: number): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='${disk.format}'/>` +
    `<source file='${escapeXml(disk.path)}'/>` +
    `<target dev='vd${String.fromCharCode(97 + index)}' bus='virtio'/>` +
    `<serial>${escapeXml(disk.id)}</serial></disk>`
}

export interface GuestSettings {
  readonly agent?: AgentMode
  readonly hook?: HookOptions
  /** Default true. */
  readonly load?: boolean
}

/** Tells a guest that was started what to do, and waits until it is ready. Dispose it. */
export async function joinGuest(
  witnessPath: string, settings: GuestSettings, clock: Clock, signal: AbortSignal,
): Promise<{ readonly witness: Witness } & Disposable> {
  const witness = new WitnessLog(clock)
  const socket = await connectWitness(witnessPath, witness)
  socket.write(settingsLine(
    settings.agent ?? 'answers', settings.hook ?? {}, settings.load ?? true))
  using limit = deadline(clock, READY_MS, 'booting the guest', signal)
  await witness.until('it was ready', ({ isReady }) => isReady, limit.signal)
  return { witness, [Symbol.dispose]: () => { socket.destroy() } }
}
