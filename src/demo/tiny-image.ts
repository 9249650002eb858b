/**
 * The tiny guest, and what starts the full one: Debian's cloud kernel and one initramfs with
 * busybox, SQLite and QEMU's guest agent, from Debian packages that are unpacked, not installed.
 */

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Fault } from '../base/fault.ts'
import { runProgram } from '../base/program.ts'
import { builtOnce } from './cache.ts'
import { cpioArchive, type CpioEntry } from './cpio.ts'
import { dependencyOf, packageListsStamp, unpackPackages } from './debian-packages.ts'
import { extractKernel, findModules, loadOrder } from './kernel.ts'

/** A guest that QEMU can boot without a boot loader. */
export interface GuestImage {
  readonly kernel: string
  /** The same as a firmware starts it, where there is one. */
  readonly packedKernel: string
  readonly initrd: string
}

/** The programs and every library they are linked with, in Debian 12. */
const PACKAGES = [
  'busybox-static', 'dmsetup', 'qemu-guest-agent', 'sqlite3', 'libc6', 'libdevmapper1.02.1',
  'libglib2.0-0', 'libpcre2-8-0', 'libselinux1', 'libudev1', 'libnuma1', 'liburing2',
  'libsqlite3-0', 'libreadline8', 'libtinfo6', 'zlib1g',
]
const KERNEL = 'linux-image-cloud-amd64'
const PROGRAMS = ['usr/sbin/qemu-ga', 'usr/bin/sqlite3', 'sbin/dmsetup']
const SCRIPT_NAMES = ['init', 'serve', 'hook', 'layout', 'start-full', 'others', 'postgresql.conf',
  'mariadb.cnf', 'redis.conf', 'agent.yaml']
const SCRIPTS = fileURLToPath(new URL('./guest', import.meta.url))
/** Modules by the occasion on which init loads them: `boot`, a file system, a layout. */
const MODULE_SETS: Readonly<Record<string, readonly string[]>> = {
  boot: ['virtio_pci', 'virtio_blk', 'virtio_console'],
  xfs: ['xfs'],
  btrfs: ['btrfs'],
  esp: ['vfat', 'nls_cp437', 'nls_ascii'],
  loop: ['loop'],
  lvm: ['dm_mod'],
  luks: ['dm_crypt', 'xts', 'ecb'],
}

/**
 * The tiny guest, built (about 10 s and 35 MB of downloads) unless the cache has it for the
 * present recipe and package lists. Faults: `program-missing`, `program-failed`, `not-found`.
 */
export async function buildTinyGuest(cacheDir: string, signal: AbortSignal): Promise<GuestImage> {
  const folder = imageFolder(cacheDir)
  await builtOnce(folder, (unfinished) => build(unfinished, signal), signal)
  return {
    kernel: join(folder, 'vmlinux'), packedKernel: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initrd.img'),
  }
}

/** True if `buildTinyGuest` would return at once. */
export function hasTinyGuest(cacheDir: string): boolean {
  return existsSync(imageFolder(cacheDir))
}

function imageFolder(cacheDir: string): string {
  const recipe = createHash('sha256').update(JSON.stringify([PACKAGES, KERNEL, MODULE_SETS]))
  for (const name of SCRIPT_NAMES) recipe.update(readFileSync(join(SCRIPTS, name)))
  for (const name of ['tiny-image.ts', 'kernel.ts', 'cpio.ts']) {
    const source = fileURLToPath(new URL(`./${name}`, import.meta.url))
    if (existsSync(source)) recipe.update(readFileSync(source))
  }
  const name = `tiny-${recipe.digest('hex').slice(0, 12)}`
  const stamp = packageListsStamp()
  if (stamp !== '') return join(cacheDir, `${name}-${stamp}`)
  // Without package lists nothing can be built; what was built from earlier lists still serves.
  const built = existsSync(cacheDir)
    ? readdirSync(cacheDir).find((entry) => entry.startsWith(`${name}-`)) : undefined
  return join(cacheDir, built ?? `${name}-unlisted`)
}

async function build(folder: string, signal: AbortSignal): Promise<void> {
  if (process.arch !== 'x64') {
    throw new Fault('unsupported', 'the guests are built for x86-64 hosts only')
  }
  const kernel = await dependencyOf(KERNEL, /^linux-image-\d.*-cloud-amd64$/, signal)
  const root = await unpackPackages([...PACKAGES, kernel], folder, signal)
  const release = kernel.slice('linux-image-'.length)
  const packed = join(root, 'boot', `vmlinuz-${release}`)
  await extractKernel(packed, join(folder, 'vmlinux'), signal)
  await copyFile(packed, join(folder, 'vmlinuz'))
  const entries = [
    ...await programEntries(root, signal),
    ...await scriptEntries(),
    ...await moduleEntries(join(root, 'lib/modules', release)),
  ]
  await writeFile(join(folder, 'initrd.img'), cpioArchive(entries))
  await rm(root, { recursive: true })
  await rm(join(folder, 'debs'), { recursive: true })
}

async function programEntries(root: string, signal: AbortSignal): Promise<readonly CpioEntry[]> {
  const libraries = new Map<string, string>()
  for (const program of PROGRAMS) {
    for (const [name, file] of await librariesOf(program, root, signal)) libraries.set(name, file)
  }
  const folders = ['bin', 'guest', 'lib64', 'modules', 'sbin', 'usr', 'usr/bin', 'usr/sbin',
    'usr/lib']
  return [
    ...folders.map((path): CpioEntry => ({ path, content: { kind: 'folder' } })),
    await fileEntry('bin/busybox', join(root, 'bin/busybox'), true),
    ...await appletLinks(join(root, 'bin/busybox'), signal),
    await fileEntry('lib64/ld-linux-x86-64.so.2', loaderOf(root), true),
    ...await Promise.all(PROGRAMS.map((path) => fileEntry(path, join(root, path), true))),
    ...await Promise.all([...libraries].map(([name, file]) =>
      fileEntry(`usr/lib/${name}`, file, false))),
  ]
}

/** A link for each of busybox's commands, so that the guest need not make them at every boot. */
async function appletLinks(busybox: string, signal: AbortSignal): Promise<readonly CpioEntry[]> {
  const { stdout } = await runProgram(busybox, ['--list'], { signal })
  return new TextDecoder().decode(stdout).split('\n')
    .filter((applet) => /^[a-z[][a-z0-9_.[-]*$/.test(applet) && applet !== 'busybox')
    .map((applet) => ({
      path: `bin/${applet}`, content: { kind: 'link', target: 'busybox' } as const }))
}

function loaderOf(root: string): string {
  return join(root, 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2')
}

/** The libraries of a program, asked of the guest's own loader; none of the host's serve. */
async function librariesOf(
  program: string, root: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const folders = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu']
    .map((folder) => join(root, folder))
  const { stdout } = await runProgram(
    loaderOf(root), ['--library-path', folders.join(':'), '--list', join(root, program)],
    { signal })
  const found = new Map<string, string>()
  for (const line of new TextDecoder().decode(stdout).split('\n')) {
    const [, name, file] = /^\s*(\S+) => (\S+)/.exec(line) ?? []
    if (name === undefined || file === undefined) continue
    if (!file.startsWith(root)) {
      throw new Fault('not-found', `${program} of the guest needs ${name}, which is in no package`)
    }
    found.set(name, file)
  }
  return found
}

function scriptEntries(): Promise<readonly CpioEntry[]> {
  return Promise.all(SCRIPT_NAMES.map((name) =>
    fileEntry(name === 'init' ? name : `guest/${name}`, join(SCRIPTS, name), true)))
}

async function moduleEntries(folder: string): Promise<readonly CpioEntry[]> {
  const modules = await findModules(folder)
  const entries: CpioEntry[] = []
  const added = new Set<string>()
  for (const [set, wanted] of Object.entries(MODULE_SETS)) {
    const order = loadOrder(wanted, modules)
    const bytes = Buffer.from(order.map((name) => `${name}\n`).join(''))
    entries.push({
      path: `modules/${set}.order`, content: { kind: 'file', bytes, executable: false } })
    for (const name of order.filter((name) => !added.has(name))) {
      added.add(name)
      entries.push(await fileEntry(`modules/${name}.ko`, modules.get(name) ?? '', false))
    }
  }
  return entries
}

async function fileEntry(path: string, file: string, executable: boolean): Promise<CpioEntry> {
  return { path, content: { kind: 'file', bytes: await readFile(file), executable } }
}
