/** The command line in memory: a store, one machine of two disks, and what was printed. */

import { systemClock, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { GuestAccess, Platform } from '../../catalog/mod.ts'
import type { ApplicationHost, RequestorHeldSet } from '../../consistency/mod.ts'
import { FakeFreezer, FakeProvider } from '../../consistency/testing/mod.ts'
import { systemRegistry, type PlatformTarget, type Registry } from '../../engine/mod.ts'
import { hostPlatform } from '../../providers/mod.ts'
import type { HostBench } from '../../providers/testing/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import type { Storage } from '../../storage/mod.ts'
import { runCli } from '../program.ts'
import type { World } from '../world.ts'

export interface BenchOptions {
  /** Default: there is no way to them. */
  readonly applications?: ApplicationHost
  /** What holds the machine's file systems; default an agent that works. */
  readonly freezer?: RequestorHeldSet['freezer']
  /** What is inside the machine; default: the platform has no way in. */
  readonly guest?: GuestAccess
  readonly environment?: Readonly<Record<string, string>>
  readonly workingDir?: string
  /** What the operator types, one answer a question; none: nobody sits there. */
  readonly answers?: readonly string[]
  readonly signal?: AbortSignal
  readonly isTerminal?: boolean
  /** By location; default: none yet. */
  readonly stores?: Map<string, Storage>
  /** Signing keys by path; default: none yet. */
  readonly keys?: Map<string, Secret>
  /** What the machine's disks hold, by id; default two, half full. */
  readonly disks?: ReadonlyMap<string, Uint8Array>
  /** The Windows that the program runs on; default: it is none. */
  readonly host?: HostBench
  /** Of random bytes. */
  readonly seed?: number
  /** Default: the system's. */
  readonly clock?: Clock
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Bench {
  run(...args: string[]): Promise<Ended>
  /** The objects of `--json`, in order. */
  runJson(...args: string[]): Promise<{
    readonly code: number; readonly lines: readonly Readonly<Record<string, unknown>>[] }>
  readonly provider: FakeProvider
  /** Platforms as they were asked for. */
  readonly opened: readonly PlatformTarget[]
  readonly keys: Map<string, Secret>
}

const MIB = 1024 * 1024

/** Passwords are `secret`, by the environment, unless the options say otherwise. */
export function createBench(options: BenchOptions = {}): Bench {
  const { clock = systemClock } = options
  const { disks = new Map([['vda', testDisk(4 * MIB, 7)], ['vdb', testDisk(MIB, 11)]]) } = options
  const freezer = options.freezer ?? new FakeFreezer({ clock, mounts: BENCH_MOUNTS })
  const provider = new FakeProvider({ clock, disks, heldBy: { kind: 'requestor', freezer } })
  const stores = options.stores ?? new Map<string, Storage>()
  const keys = options.keys ?? new Map<string, Secret>()
  const opened: PlatformTarget[] = []
  const registry: Registry = {
    openStorage: (location) => {
      const store = stores.get(location) ?? openMemoryStorage()
      stores.set(location, store)
      return { ...bound(store), location }
    },
    openApplications: async () => options.applications ??
      { missing: 'there is no agent of Stillpoint in the guest' },
    openKeyFile: (path) => ({
      path,
      read: async () => keys.get(path),
      create: async (text) => {
        if (keys.has(path)) return false
        keys.set(path, text)
        return true
      },
    }),
    openPlatform: async (target, context, signal) => {
      opened.push(target)
      if (target.type === 'host' && options.host !== undefined) {
        return hostPlatform(target.options, options.host.ports)
      }
      if (target.type === 'host') return systemRegistry.openPlatform(target, context, signal)
      if (target.type !== 'qemu') throw new Fault('platform-unreachable', `no ${target.type}`)
      if (target.options.qmp.endsWith('/gone')) {
        throw new Fault('platform-unreachable', `nobody listens at ${target.options.qmp}`)
      }
      const { guest } = options
      const platform = fakePlatform(target.options.name ?? 'web1', provider, disks)
      return guest === undefined ? platform : { ...platform, openGuest: async () => guest }
    },
  }
  const random = seededRandom(options.seed ?? 1)
  const run = (...args: string[]): Promise<Ended> =>
    runIn(options, registry, { clock, random }, args)
  return {
    run, provider, opened, keys,
    runJson: async (...args) => {
      const { code, stdout } = await run(...args, '--json')
      const lines = stdout.split('\n').filter((line) => line !== '')
      return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
    },
  }
}

/** File systems right on the disks: that is what an empty test disk can be explained by. */
const BENCH_MOUNTS = [
  { mountpoint: '/', type: 'ext4', device: 'vda', diskIds: ['vda'] },
  { mountpoint: '/srv', type: 'ext4', device: 'vdb', diskIds: ['vdb'] },
]

async function runIn(
  options: BenchOptions, registry: Registry, { clock, random }: Pick<World, 'clock' | 'random'>,
  args: readonly string[],
): Promise<Ended> {
  let [stdout, stderr] = ['', '']
  const answers = [...options.answers ?? []]
  const world: World = {
    stdout: { write: (text) => { stdout += text }, isTerminal: options.isTerminal ?? false },
    stderr: { write: (text) => { stderr += text }, isTerminal: options.isTerminal ?? false },
    barStream: undefined,
    environment: options.environment ??
      { RESTIC_REPOSITORY: '/memory', RESTIC_PASSWORD: 'secret' },
    workingDir: options.workingDir ?? '/usr',
    hostname: 'host1', username: 'user1', version: '0.0.0',
    clock, random, registry,
    askPassword: options.answers === undefined ? undefined : async (question) => {
      stderr += `${question}\n`
      return new Secret(answers.shift() ?? '')
    },
    signal: options.signal ?? new AbortController().signal,
  }
  const code = await runCli(args, world)
  return { code, stdout, stderr }
}

function fakePlatform(
  name: string, provider: FakeProvider, disks: ReadonlyMap<string, Uint8Array>): Platform {
  const own = [...disks].map(([id, bytes]) => ({ id, sizeBytes: bytes.length }))
  const check = (asked: string): void => {
    if (asked !== name) throw new Fault('machine-not-found', `no machine is called ${asked}`)
  }
  return {
    kind: 'qemu',
    machines: async () => [{ name, power: 'running', agent: 'answers', disks: own }],
    describe: async (asked) => {
      check(asked)
      return {
        machine: {
          version: 1, name, platform: 'qemu', architecture: 'x86_64', cpuCount: 2,
          memoryBytes: 512 * MIB, firmware: 'bios', nics: [],
          disks: own.map((disk) => ({ ...disk, bus: 'virtio' as const })),
        },
        documents: [{ name: 'fake.txt', text: 'a fake' }],
      }
    },
    provider: (asked) => {
      check(asked)
      return provider
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Half of it zeros, the rest like nothing else; a superblock of ext4 that was unmounted. */
function testDisk(sizeBytes: number, seed: number): Uint8Array {
  const disk = new Uint8Array(sizeBytes)
  disk.set(seededRandom(seed)(sizeBytes / 2 - 4096), 4096)
  const superblock = new DataView(disk.buffer, 1024, 1024)
  superblock.setUint32(0, 64, true) // inodes
  superblock.setUint32(4, sizeBytes / 4096, true) // blocks
  superblock.setUint32(24, 2, true) // of 4 KiB
  superblock.setUint16(56, 0xef53, true)
  superblock.setUint32(92, 4, true) // has a journal, which needs no recovery
  return disk
}

/** The store, which the next run goes on with. */
function bound(store: Storage): Omit<Storage, 'location'> {
  return {
    create: (signal) => store.create(signal),
    put: (file, parts, signal) => store.put(file, parts, signal),
    get: (file, range, signal) => store.get(file, range, signal),
    list: (kind, signal) => store.list(kind, signal),
    remove: (file, signal) => store.remove(file, signal),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}
