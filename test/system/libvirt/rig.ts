/**
 * A real libvirtd of the tests' own, without systemd: it sees folders of its own where libvirt
 * keeps its state, and ends, with its machines, when this process does.
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom as random } from '../../../src/base/random.ts'
import { runProgram } from '../../../src/base/program.ts'
import type { Platform } from '../../../src/catalog/mod.ts'
import {
  joinGuest, makeGuestDomain, type GuestDomain, type GuestKind, type GuestSettings, type Witness,
} from '../../../src/demo/mod.ts'
import { openLibvirtPlatform, type LibvirtOptions } from '../../../src/providers/mod.ts'

const signal = new AbortController().signal
/** What libvirtd keeps outside what can be configured. */
const PLACES = ['/etc/libvirt', '/var/lib/libvirt', '/run/libvirt', '/var/log/libvirt']
/** What QEMU can do is asked once: that takes eight seconds. */
const CAPABILITIES = new URL('../../../.cache/libvirt', import.meta.url).pathname

const qemuConf = (user: string): string => `user = "${user}"
group = "${user}"
swtpm_user = "root"
swtpm_group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
`

/** Stands in for the group libvirt, which a package of Debian makes that tests do without. */
export const GROUP = { name: 'nogroup', id: 65_534 }
/** Without them Debian's libvirtd does not start, whoever runs the machines; as that group. */
const ACCOUNTS = [
  { file: '/etc/passwd', entry: 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n' },
  { file: '/etc/group', entry: 'libvirt-qemu:x:64055:\n' },
]
export const SMALL_MIB = 24
const MAX_OUTPUT = 8 * 1024 * 1024
/** Small, as tests read them whole. */
export const DISK_BYTES = 64 * 1024 * 1024

/** Why the tests need to be skipped here; undefined if they need not. */
export function libvirtMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can give a libvirtd folders of its own'
  const missing = ['libvirtd', 'virsh', 'qemu-system-x86_64']
    .filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
  if (missing.length > 0) return `${missing.join(', ')} missing`
  const unshared = spawnSync('unshare', ['--mount', '--pid', '--fork', '--mount-proc', 'true'])
  return unshared.status === 0 ? undefined : 'namespaces cannot be made here'
}

export interface Libvirt extends AsyncDisposable {
  readonly uri: string
  /** Of the tests: short, gone afterwards. QEMU may use all of it. */
  readonly folder: string
  /** Where the platform keeps hold records. */
  readonly runDir: string
  /** A file system of `SMALL_MIB`; undefined where none can be mounted. */
  readonly small: string | undefined
  /** What a program printed that sees libvirt's folders as libvirtd does. */
  inside(program: string, ...words: readonly string[]): Promise<string>
  /** What virsh printed. Faults: `program-failed`. */
  virsh(...words: readonly string[]): Promise<string>
  open(options?: Partial<LibvirtOptions>): Promise<Platform>
}

/** `user` runs the machines; libvirt gives it the images that they use. */
export async function startLibvirt(user = 'root'): Promise<Libvirt> {
  const folder = await mkdtemp(join(tmpdir(), 'lv-'))
  if (user !== 'root') await chmod(folder, 0o711)
  const runDir = join(folder, 'run')
  for (const place of PLACES) await mkdir(join(folder, 'host', place), { recursive: true })
  await mkdir(CAPABILITIES, { recursive: true })
  await mkdir(runDir, { mode: 0o700 })
  await writeFile(join(folder, 'host/etc/libvirt/qemu.conf'), qemuConf(user))
  for (const { file, entry } of ACCOUNTS) {
    const text = await readFile(file, 'utf8')
    const isThere = text.split('\n').some((line) => line.startsWith('libvirt-qemu:'))
    await writeFile(join(folder, 'host', file), isThere ? text : text + entry)
  }
  await writeFile(join(folder, 'libvirtd.conf'), `unix_sock_dir = "${folder}"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "${GROUP.name}"
unix_sock_rw_perms = "0770"
`)
  // Mounted before libvirtd takes its copy of all mounts.
  const small = join(folder, 'small')
  await mkdir(small)
  const isSmall = spawnSync('mount',
    ['-t', 'tmpfs', '-o', `size=${SMALL_MIB}m`, 'tmpfs', small]).status === 0
  const mounts = [...PLACES.map((place) => [join(folder, 'host', place), place]),
    [CAPABILITIES, '/var/cache/libvirt']]
  // The first process of the namespace waits for all others, so that none stays half ended.
  const script = [...mounts.map(([from, to]) => `mkdir -p ${to} && mount --bind ${from} ${to}`),
    ...ACCOUNTS.map(({ file }) => `mount --bind ${join(folder, 'host', file)} ${file}`),
    `libvirtd -f ${folder}/libvirtd.conf -p ${folder}/libvirtd.pid & wait`].join('\n')
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation',
    'private', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-ec', script],
  { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => { child.once('exit', () => resolve()) })
  const uri = `qemu+unix:///system?socket=${folder}/libvirt-sock`
  const libvirt: Libvirt = {
    uri, folder, runDir, small: isSmall ? small : undefined,
    virsh: async (...words) => Buffer.from((await runProgram(
      'virsh', ['-q', '-c', uri, ...words], { signal })).stdout).toString(),
    inside: async (program, ...words) => {
      const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
      const { stdout } = await runProgram('nsenter', ['--mount', '--pid', '--target',
        children.trim().split(' ')[0] ?? '', program, ...words], {
        signal, maxOutputBytes: MAX_OUTPUT,
        env: { PATH: process.env['PATH'] ?? '', HOME: folder, RESTIC_PASSWORD: 'x',
          RESTIC_REPOSITORY: join(folder, 'repository') } })
      return Buffer.from(stdout).toString()
    },
    open: (options = {}) => openLibvirtPlatform(
      { uri, runDir, socketDir: folder, ...options }, { clock, random, log: silentLog }, signal),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
      if (isSmall) spawnSync('umount', [small])
      await rm(folder, { recursive: true, force: true, maxRetries: 10 })
    },
  }
  while (!existsSync(join(folder, 'libvirt-sock'))) await clock.sleep(50, signal)
  await libvirt.virsh('version')
  return libvirt
}

export interface LibvirtGuest extends Disposable {
  readonly name: string
  readonly uuid: string
  readonly domain: GuestDomain
  readonly witness: Witness
}

/** Defines and starts a guest, and waits until it works. A full one is too large for most tests. */
export async function startDomain(
  libvirt: Libvirt, name: string, settings: GuestSettings = {}, kind: GuestKind = 'tiny',
): Promise<LibvirtGuest> {
  const uuid = `${Buffer.from(random(4)).toString('hex')}-2222-4333-8444-555555555555`
  const folder = join(libvirt.folder, name)
  await mkdir(folder)
  const disks = ['disk0', 'disk1'].map((id) => ({ id, sizeBytes: DISK_BYTES }))
  const domain = await makeGuestDomain(
    { name, uuid, folder, kind, ...kind === 'tiny' ? { disks } : {} }, signal)
  const xml = join(folder, 'domain.xml')
  await writeFile(xml, domain.xml)
  await libvirt.virsh('define', xml)
  await libvirt.virsh('start', name)
  const joined = await joinGuest(domain.witnessPath, settings, clock, signal)
  while (!await answers(libvirt, name)) await clock.sleep(100, signal)
  return {
    name, uuid, domain, witness: joined.witness,
    [Symbol.dispose]: () => joined[Symbol.dispose](),
  }
}

/** The agent is started when the guest is ready, and a busy host takes its time for it. */
async function answers(libvirt: Libvirt, name: string): Promise<boolean> {
  const ping = libvirt.virsh('qemu-agent-command', name, '{"execute":"guest-ping"}')
  return ping.then(() => true, () => false)
}

/** The guest's newest row that is durable. */
export function rows({ witness }: LibvirtGuest): number {
  return witness.lastAcknowledged('rows')?.id ?? 0
}

/** Waits until the guest has written `count` rows more. */
export async function moreRows(guest: LibvirtGuest, count = 5): Promise<void> {
  const wanted = rows(guest) + count
  await guest.witness.until(`row ${wanted}`, () => rows(guest) >= wanted, signal)
}

/** What of ours a machine, its folders and the run directory hold, beside its base checkpoint. */
export async function leftOvers(
  libvirt: Libvirt, { name, domain }: LibvirtGuest): Promise<readonly string[]> {
  const job = await libvirt.virsh('domjobinfo', name)
  const state = (await libvirt.virsh('domstate', name)).trim()
  const folders = [libvirt.folder, libvirt.runDir, join(domain.witnessPath, '..')]
  const files = (await Promise.all(folders.map((folder) => readdir(folder)))).flat()
  return [
    ...(/^Job type:\s*None/m.test(job) ? [] : ['a job']),
    ...(state === 'running' ? [] : [`state ${state}`]),
    ...files.filter((file) => /stillpoint|\.hold/.test(file)).map((file) => `file ${file}`),
  ]
}

/** The points of a repository that the machine has checkpoints of. */
export async function trackedPoints(
  libvirt: Libvirt, guest: LibvirtGuest, repositoryId: string): Promise<readonly string[]> {
  return (await checkpoints(libvirt, guest)).map((name) => name.split('.'))
    .filter(([, id]) => id === repositoryId).map(([, , pointId = '']) => pointId)
}

/** Names of all checkpoints, in libvirt's order. */
export async function checkpoints(
  libvirt: Libvirt, { name }: Pick<LibvirtGuest, 'name'>): Promise<readonly string[]> {
  return (await libvirt.virsh('checkpoint-list', name, '--name')).split('\n')
    .map((line) => line.trim()).filter((line) => line !== '')
}
