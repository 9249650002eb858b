/**
 * The disks of the full guest: Debian with four applications. PostgreSQL and MariaDB keep their
 * data on a disk of its own, SQLite and Redis on the root disk. The tiny guest's kernel and
 * initramfs start it; their scripts come along in /run.
 */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Fault } from '../base/fault.ts'
import { runProgram } from '../base/program.ts'
import { AGENT_NAME, buildAgent } from './agent-build.ts'
import { builtOnce } from './cache.ts'
import { packageListsStamp } from './debian-packages.ts'
import type { GuestDiskOptions } from './disk-images.ts'

const SUITE = 'bookworm'
const PACKAGES = [
  'busybox-static', 'mariadb-client-core', 'mariadb-server-core', 'postgresql', 'qemu-guest-agent',
  'redis-server', 'sqlite3',
]
/** As the package of the server with everything round it would; a small log starts quickly. */
const MAKE_MARIADB = `chroot "$1" sh -ec '
  useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin mysql
  mariadb-install-db --no-defaults --user=mysql --datadir=/var/lib/mysql --skip-test-db \
    --auth-root-authentication-method=socket --innodb-log-file-size=16M >/dev/null'`
/** What no guest reads: manuals, translations, packages that are installed already. */
const UNREAD = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'var/cache/apt/archives',
  'var/lib/apt/lists']
const ROOT_BYTES = 2 * 1024 ** 3
const DATA_BYTES = 1024 ** 3

/**
 * The disks of a full guest, built (two to four minutes, 190 MB of downloads) unless the cache
 * has them. A guest writes to copies of them. Only root can build them, because the files on them
 * belong to several users. Faults: `program-missing`, `program-failed`,
 * `unsupported`.
 */
export async function buildFullGuest(
  cacheDir: string, signal: AbortSignal): Promise<readonly GuestDiskOptions[]> {
  const folder = imageFolder(cacheDir)
  await builtOnce(folder, (unfinished) => build(unfinished, signal), signal)
  const agent = await buildAgent(cacheDir, signal)
  const withAgent = `${folder}-agent-${basename(dirname(agent))}`
  await builtOnce(withAgent, (unfinished) => addAgent(
    join(folder, 'root.qcow2'), agent, join(unfinished, 'root.qcow2'), signal), signal)
  return [
    { id: 'root', copyOf: join(withAgent, 'root.qcow2') },
    { id: 'data', copyOf: join(folder, 'data.qcow2') },
  ]
}

/** Lays the agent of Stillpoint into an image, as installing it would. */
async function addAgent(
  image: string, agent: string, target: string, signal: AbortSignal): Promise<void> {
  const raw = `${target}.raw`
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, raw], { signal })
  await runProgram('debugfs', ['-w', '-f', '-', raw], { signal, input: [
    'cd /usr/local/bin', `write ${agent} ${AGENT_NAME}`,
    `set_inode_field ${AGENT_NAME} mode 0100755`, ''].join('\n') })
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, target], { signal })
  await rm(raw)
}

/** True if `buildFullGuest` would return at once. */
export function hasFullGuest(cacheDir: string): boolean {
  return existsSync(imageFolder(cacheDir))
}

function imageFolder(cacheDir: string): string {
  const recipe = createHash('sha256')
  recipe.update(JSON.stringify([SUITE, PACKAGES, MAKE_MARIADB, UNREAD]))
  recipe.update(readFileSync(fileURLToPath(import.meta.url)))
  return join(cacheDir, `full-${recipe.digest('hex').slice(0, 12)}-${packageListsStamp()}`)
}

async function build(folder: string, signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Fault('unsupported', 'the full guest can only be built by root', {
      advice: 'Run the demonstration once as root, or use the tiny guest.' })
  }
  const root = join(folder, 'root')
  // In name spaces of its own: killed half-way it takes its children and mounts with it, so that
  // what is left can be removed without reaching into the host's /proc, /sys and /dev.
  await runProgram('unshare', [
    '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
    'mmdebstrap', '--quiet', '--variant=minbase', '--mode=root', '--format=directory',
    `--include=${PACKAGES.join(',')}`, `--customize-hook=${MAKE_MARIADB}`, SUITE, root,
  ], { signal })
  for (const unread of UNREAD) await rm(join(root, unread), { recursive: true, force: true })
  await mkdir(join(root, 'var/lib/stillpoint'))
  // Both databases were made with the packages; they move to the data disk.
  const data = join(folder, 'data')
  await mkdir(data)
  await rename(join(root, 'var/lib/postgresql/15/main'), join(data, 'main'))
  await rename(join(root, 'var/lib/mysql'), join(data, 'mariadb'))
  await makeImage(root, ROOT_BYTES, join(folder, 'root.qcow2'), signal)
  await makeImage(data, DATA_BYTES, join(folder, 'data.qcow2'), signal)
  await rm(root, { recursive: true })
  await rm(data, { recursive: true })
}

async function makeImage(
  content: string, sizeBytes: number, target: string, signal: AbortSignal): Promise<void> {
  const raw = `${target}.raw`
  await writeFile(raw, '')
  const options = 'lazy_itable_init=0,lazy_journal_init=0'
  await runProgram('mke2fs', [
    '-q', '-F', '-t', 'ext4', '-d', content, '-E', options, raw, `${sizeBytes / 1024}k`,
  ], { signal })
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, target], { signal })
  await rm(raw)
}
