/** Starts a guest, and makes sure that it ends: with its owner, or with this process. */

import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deadline, throwIfAborted, type Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { chooseAccelerator, type Accelerator } from './accelerator.ts'
import { defaultCacheDir } from './cache.ts'
import { DEFAULT_DISKS, makeDisk, type GuestDisk, type GuestDiskOptions } from './disk-images.ts'
import {
  kernelParameters, qemuArguments, settingsLine, socketsIn, type AgentMode, type GuestLayout,
  type HookOptions, type QemuCommand,
} from './qemu-command.ts'
import { buildFullGuest } from './full-image.ts'
import { buildTinyGuest } from './tiny-image.ts'
import { connectWitness, WitnessLog, type Witness } from './witness.ts'

/**
 * `tiny`: SQLite on `disk0` (table `rows`) and on `disk1` (`canary`), up in seconds. `full`: Debian
 * with SQLite on its disk `root` (`rows`) and PostgreSQL on `data` (`orders`).
 */
export type GuestKind = 'tiny' | 'full'

export interface GuestOptions {
  readonly kind: GuestKind
  /**
   * An existing folder of the caller's with a short path, for sockets, disks and logs. The guest
   * removes nothing from it.
   */
  readonly folder: string
  /** Default: new disks of the kind; those of a tiny guest are blank ext4. */
  readonly disks?: readonly GuestDiskOptions[]
  /**
   * `answers` (default); `silent`: the port is there and nobody reads it; `disabled`: the agent
   * answers and refuses to freeze; `absent`: there is no port.
   */
  readonly agent?: AgentMode
  readonly hook?: HookOptions
  /** False: the guest reports what its disks hold and writes nothing. Default true. */
  readonly load?: boolean
  /** Default: one file system a disk. */
  readonly layout?: GuestLayout
  /** Default `bios`; `uefi` is Debian's OVMF, with variables of its own. */
  readonly firmware?: 'bios' | 'uefi'
  /** Default `auto`: KVM where it really runs a guest, else emulation. */
  readonly accelerator?: 'auto' | Accelerator
  /** What QEMU calls the machine; default the kind. */
  readonly name?: string
  /** Further arguments for QEMU, such as a CD-ROM drive. */
  readonly qemuArguments?: readonly string[]
  /** Default `.cache/guests` of the checkout. */
  readonly cacheDir?: string
}

export interface RunningGuest extends AsyncDisposable {
  readonly pid: number
  readonly accelerator: Accelerator
  /** QEMU serves one client on each of its QMP sockets. */
  readonly qmpSocket: string
  readonly secondQmpSocket: string
  /** The host's end of `org.qemu.guest_agent.0`; undefined if the agent is `absent`. */
  readonly agentSocket: string | undefined
  /** The host's end of `org.stillpoint.agent.0`, which a full guest's agent of ours serves. */
  readonly channelSocket: string | undefined
  readonly disks: readonly GuestDisk[]
  readonly witness: Witness
  /** Files with the guest's console and with what QEMU itself complained of. */
  readonly serialLog: string
  readonly qemuLog: string
  /** Resolves when QEMU has ended, for whatever reason. */
  readonly ended: Promise<void>
  /** Resolves when the guest has reported on its disks and the agent, if any, was started. */
  waitUntilReady(signal: AbortSignal): Promise<void>
  /** Ends QEMU at once, as pulling the plug would, and waits for it. Idempotent. */
  kill(): Promise<void>
}

/** For QEMU to open its sockets; for a guest to boot under emulation on a busy host. */
const START_LIMIT_MS = 20_000
const READY_LIMIT_MS = { tiny: 90_000, full: 300_000 }
const OVMF = '/usr/share/OVMF'
export const MEMORY_MIB = { tiny: 256, full: 832 }

/**
 * Builds the image if need be, makes the disks and starts QEMU. The guest is killed when it is
 * disposed and when this process ends, however it ends. Faults: those of `buildTinyGuest`, and
 * `program-missing`, `program-failed`.
 */
export async function startGuest(
  options: GuestOptions, clock: Clock, signal: AbortSignal): Promise<RunningGuest> {
  const cacheDir = options.cacheDir ?? defaultCacheDir()
  const image = await buildTinyGuest(cacheDir, signal)
  const wanted = options.accelerator ?? 'auto'
  const accelerator = wanted !== 'auto' ? wanted : await chooseAccelerator(
    cacheDir, (limit) => probeKvm(cacheDir, clock, limit), clock, signal)
  const disks: GuestDisk[] = []
  for (const disk of options.disks ?? await newDisks(options.kind, cacheDir, signal)) {
    disks.push(await makeDisk(disk, options.folder, signal))
  }
  const agent = options.agent ?? 'answers'
  const isUefi = options.firmware === 'uefi'
  return launch({
    name: options.name ?? options.kind,
    accelerator,
    memoryMiB: MEMORY_MIB[options.kind],
    kernel: isUefi ? image.packedKernel : image.kernel,
    initrd: image.initrd,
    kernelParameters: kernelParameters(options.kind, disks.length, options.layout),
    disks,
    hasAgentPort: agent !== 'absent',
    hasChannelPort: options.kind === 'full',
    sockets: socketsIn(options.folder),
    serialLog: join(options.folder, 'serial.log'),
    extra: [...isUefi ? await uefiArguments(options.folder) : [], ...options.qemuArguments ?? []],
  }, {
    qemuLog: join(options.folder, 'qemu.log'),
    settings: settingsLine(agent, options.hook ?? {}, options.load ?? true),
    readyLimitMs: READY_LIMIT_MS[options.kind],
  }, clock, signal)
}

/** Debian's OVMF, and a copy of its blank variables in the folder. */
async function uefiArguments(folder: string): Promise<readonly string[]> {
  const variables = join(folder, 'efivars.fd')
  await copyFile(join(OVMF, 'OVMF_VARS_4M.fd'), variables)
  return [
    '-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${join(OVMF, 'OVMF_CODE_4M.fd')}`,
    '-drive', `if=pflash,format=raw,unit=1,file=${variables}`,
  ]
}

/** Those of a guest of that kind that is given none. Faults: as `startGuest`. */
export function newDisks(
  kind: GuestKind, cacheDir: string, signal: AbortSignal): Promise<readonly GuestDiskOptions[]> {
  return kind === 'tiny' ? Promise.resolve(DEFAULT_DISKS) : buildFullGuest(cacheDir, signal)
}

interface Launch {
  readonly qemuLog: string
  /** What the guest is told on the witness port. */
  readonly settings: string
  readonly readyLimitMs: number
}

async function launch(
  command: QemuCommand, { qemuLog, settings, readyLimitMs }: Launch, clock: Clock,
  signal: AbortSignal): Promise<RunningGuest> {
  throwIfAborted(signal)
  const qemu = spawnQemu(command, qemuLog)
  const ended = new Promise<void>((resolve) => {
    qemu.once('exit', () => resolve())
    qemu.once('error', () => resolve())
  })
  const kill = async (): Promise<void> => {
    qemu.kill('SIGKILL')
    await ended
  }
  const witness = new WitnessLog(clock)
  try {
    const socket = await openWitness(qemu, command, qemuLog, witness, clock, signal)
    socket.write(settings)
    void tellAfterResets(witness, socket, settings)
    void ended.then(() => socket.destroy())
  } catch (error) {
    await kill()
    throw error
  }
  return {
    pid: qemu.pid ?? 0,
    accelerator: command.accelerator,
    qmpSocket: command.sockets.qmp,
    secondQmpSocket: command.sockets.secondQmp,
    agentSocket: command.hasAgentPort ? command.sockets.agent : undefined,
    channelSocket: command.hasChannelPort ? command.sockets.channel : undefined,
    disks: command.disks,
    witness,
    serialLog: command.serialLog,
    qemuLog,
    ended,
    waitUntilReady: async (signal) => {
      using limit = deadline(clock, readyLimitMs, `booting the guest ${command.name}`, signal)
      await witness.until('it was ready', ({ isReady }) => isReady, limit.signal)
    },
    kill,
    [Symbol.asyncDispose]: kill,
  }
}

/** A guest that was reset waits for its settings anew. Ends with the witness. */
async function tellAfterResets(
  witness: Witness, socket: Socket, settings: string): Promise<void> {
  const never = new AbortController().signal
  try {
    for (let boots = 1; ; boots++) {
      await witness.until('a reset', (witness) => witness.boots > boots, never)
      socket.write(settings)
    }
  } catch {
    // The guest has ended.
  }
}

/** setpriv asks the kernel to kill QEMU with the process that started it. */
function spawnQemu(command: QemuCommand, qemuLog: string): ChildProcess {
  const log = openSync(qemuLog, 'a')
  try {
    return spawn(
      'setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArguments(command)],
      { stdio: ['ignore', log, log] })
  } finally {
    closeSync(log)
  }
}

/** Connects the witness, and waits until QEMU has made all devices. */
async function openWitness(
  qemu: ChildProcess, command: QemuCommand, qemuLog: string, witness: WitnessLog, clock: Clock,
  signal: AbortSignal): Promise<Socket> {
  using limit = deadline(clock, START_LIMIT_MS, 'starting QEMU', signal)
  let socket: Socket | undefined
  for (;;) {
    if (qemu.exitCode !== null || qemu.signalCode !== null || qemu.pid === undefined) {
      const said = printable((await readFile(qemuLog, 'utf8')).trim().split('\n').at(-1) ?? '')
      throw new Fault('program-failed', `QEMU did not start: ${said}`, {
        advice: `Read ${qemuLog}; if qemu-system-x86_64 is missing, run: make setup` })
    }
    try {
      socket ??= await connectWitness(command.sockets.witness, witness)
      await firstAnswerOf(command.sockets.secondQmp)
      return socket
    } catch {
      await clock.sleep(10, limit.signal) // not listening yet, or already gone
    }
  }
}

/** QMP greets at once, but carries out its first command only when the machine is complete. */
function firstAnswerOf(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard = ''
    const socket = connect(path)
    socket.setEncoding('utf8')
    socket.on('error', reject)
    socket.once('close', () => reject(new Error('closed without an answer')))
    socket.once('connect', () => socket.write('{"execute":"qmp_capabilities"}\n'))
    socket.on('data', (text: string) => {
      heard += text
      if (!heard.includes('"return"')) return
      socket.destroy()
      resolve()
    })
  })
}

async function probeKvm(cacheDir: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-kvm-'))
  try {
    await using guest = await startGuest({
      kind: 'tiny', folder, cacheDir, disks: [], agent: 'absent', load: false, accelerator: 'kvm',
    }, clock, signal)
    await guest.waitUntilReady(signal)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
