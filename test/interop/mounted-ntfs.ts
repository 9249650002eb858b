/** An NTFS in a file, made by mkntfs and mounted by ntfs-3g. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { runProgram } from '../../src/base/program.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'

const signal = new AbortController().signal
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
const MOUNT_POLLS = 500
const POLL_MS = 20

/** Why no NTFS can be mounted here; undefined: it can. */
export const cannotMountNtfs: string | false =
  missingProgram('mkntfs', 'ntfs-3g', 'ntfscat', 'ntfsls', 'ntfsinfo', 'ntfsfix', 'ntfsfallocate',
    'setfattr') ||
  (process.getuid?.() === 0 ? await whyNoFuse() : 'only root can mount images')

async function whyNoFuse(): Promise<string | false> {
  return access('/dev/fuse', constants.R_OK | constants.W_OK)
    .then(() => false as const, () => 'FUSE cannot be used here')
}

export async function makeNtfs(
  path: string, sizeMiB: number, options: readonly string[] = []): Promise<void> {
  await writeFile(path, '')
  await truncate(path, sizeMiB * 2 ** 20)
  await runNtfs('mkntfs', '-q', '-F', '-Q', ...options, path)
}

/** One of ntfs-3g's tools; what it says on stdout. */
export async function runNtfs(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await runProgram(program, args, {
    signal, env: { PATH, LC_ALL: 'C.UTF-8' }, maxOutputBytes: 64 * 2 ** 20 })
  return Buffer.from(stdout).toString()
}

/** Runs `work` in the root folder of the file system at `path`; it is unmounted when it ends. */
export async function insideNtfs<T>(
  path: string, work: (mountpoint: string) => Promise<T>, options = ''): Promise<T> {
  const mountpoint = `${path}.mnt`
  await mkdir(mountpoint, { recursive: true })
  const child = spawn('ntfs-3g',
    ['-o', `no_detach,streams_interface=none${options}`, path, mountpoint],
    { stdio: 'ignore', env: { PATH, LC_ALL: 'C.UTF-8' } })
  const ended = once(child, 'exit') // what it holds in memory is written only then
  await mounted(child, mountpoint)
  try {
    return await work(mountpoint)
  } finally {
    await runProgram('umount', [mountpoint], { signal, env: { PATH } })
    await ended
  }
}

async function mounted(child: ChildProcess, mountpoint: string): Promise<void> {
  for (let n = 0; n < MOUNT_POLLS; n++) {
    if ((await readFile('/proc/mounts', 'utf8')).includes(` ${mountpoint} `)) return
    if (child.exitCode !== null) break
    await sleep(POLL_MS)
  }
  child.kill()
  throw new Error(`${mountpoint} was not mounted`)
}
