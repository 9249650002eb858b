/** The command line that starts QEMU for a guest: pure, so that tests can read it. */

import { join } from 'node:path'
import type { GuestDisk } from './disk-images.ts'

export type AgentMode = 'answers' | 'silent' | 'disabled' | 'absent'

/** What the agent's hook does; a field left out means: nothing, at once, with success. */
export interface HookOptions {
  readonly freezeSleepS?: number
  readonly freezeExit?: number
  /** So many seconds after the freeze the first disk is thawed, behind the agent's back. */
  readonly freezeUndoS?: number
  readonly thawSleepS?: number
  readonly thawExit?: number
}

/**
 * What the guest has beside one file system a disk: on the disk with the id `extra` one that is
 * mounted read-only, partitions with one of EFI, or a volume of LVM; one in a file of `disk1`; or
 * nothing at all, as it powers off once its disks were mounted.
 */
export type GuestLayout = 'read-only' | 'esp' | 'lvm' | 'luks' | 'loop' | 'off'

export interface GuestSockets {
  readonly qmp: string
  readonly secondQmp: string
  readonly agent: string
  /** To the agent of Stillpoint. */
  readonly channel: string
  readonly witness: string
}

export interface QemuCommand {
  readonly name: string
  readonly accelerator: 'kvm' | 'tcg'
  readonly memoryMiB: number
  readonly kernel: string
  readonly initrd: string
  readonly kernelParameters: readonly string[]
  readonly disks: readonly GuestDisk[]
  readonly hasAgentPort: boolean
  readonly hasChannelPort: boolean
  readonly sockets: GuestSockets
  readonly serialLog: string
  /** Added at the end: further devices. */
  readonly extra: readonly string[]
}

/** Short names: a socket's path may be no longer than 107 bytes (unix(7)). */
export function socketsIn(folder: string): GuestSockets {
  const at = (name: string): string => join(folder, name)
  return {
    qmp: at('qmp'), secondQmp: at('qmp2'), agent: at('agent'), channel: at('channel'),
    witness: at('witness'),
  }
}

/** The arguments of qemu-system-x86_64. The witness comes last: when it listens, all do. */
export function qemuArguments(command: QemuCommand): readonly string[] {
  const { sockets } = command
  return [
    '-name', command.name,
    ...ACCELERATORS[command.accelerator],
    '-machine', 'q35', '-smp', '1', '-m', String(command.memoryMiB),
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
    '-kernel', command.kernel, '-initrd', command.initrd,
    '-append', command.kernelParameters.join(' '),
    '-serial', `file:${escaped(command.serialLog)}`,
    '-qmp', `unix:${escaped(sockets.qmp)},server=on,wait=off`,
    '-qmp', `unix:${escaped(sockets.secondQmp)},server=on,wait=off`,
    ...command.disks.flatMap(diskArguments),
    '-device', 'virtio-serial-pci,id=ports',
    ...(command.hasAgentPort ? port('agent', 'org.qemu.guest_agent.0', sockets.agent) : []),
    ...(command.hasChannelPort
      ? port('channel', 'org.stillpoint.agent.0', sockets.channel) : []),
    ...port('witness', 'stillpoint.witness', sockets.witness),
    ...command.extra,
  ]
}

const ACCELERATORS = {
  kvm: ['-accel', 'kvm', '-cpu', 'host'],
  // A small translation cache: the default one may grow to hundreds of megabytes.
  tcg: ['-accel', 'tcg,thread=multi,tb-size=64'],
} as const

function diskArguments(disk: GuestDisk): readonly string[] {
  const image = {
    driver: disk.format, 'node-name': disk.nodeName,
    file: { driver: 'file', 'node-name': `${disk.nodeName}-file`, filename: disk.path },
  }
  return [
    '-blockdev', JSON.stringify(image),
    '-device', `virtio-blk-pci,drive=${disk.nodeName},id=${disk.deviceId},serial=${disk.id}`,
  ]
}

function port(id: string, name: string, socket: string): readonly string[] {
  return [
    '-chardev', `socket,id=${id},path=${escaped(socket)},server=on,wait=off`,
    '-device', `virtserialport,bus=ports.0,chardev=${id},name=${name}`,
  ]
}

/** A comma inside a value of a QEMU option is written twice. */
function escaped(value: string): string {
  return value.replaceAll(',', ',,')
}

/** Leaves out what an emulated processor spends a second of booting on. */
const FAST_BOOT = ['quiet', 'mitigations=off', 'cryptomgr.notests', 'nokaslr']

export function kernelParameters(
  kind: string, diskCount: number, layout?: GuestLayout): readonly string[] {
  return ['console=ttyS0', 'panic=-1', ...FAST_BOOT, `sp.kind=${kind}`,
    `sp.disks=${diskCount}`, ...layout === undefined ? [] : [`sp.layout=${layout}`]]
}

/** The one line that the guest waits for on its witness port before it starts to work. */
export function settingsLine(
  agent: AgentMode, hook: HookOptions, load: boolean): string {
  const wishes = [
    ['freeze-sleep', hook.freezeSleepS], ['freeze-exit', hook.freezeExit],
    ['freeze-undo', hook.freezeUndoS],
    ['thaw-sleep', hook.thawSleepS], ['thaw-exit', hook.thawExit],
  ].filter(([, value]) => value !== undefined).map(([key, value]) => `${key}:${value}`)
  return `agent=${agent} load=${load ? 'on' : 'off'} hook=${wishes.join(',')}\n`
}
