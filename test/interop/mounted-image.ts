/** A file system in a file, mounted on this host through a loop device, with writers in it. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../../src/base/program.ts'

const signal = new AbortController().signal
const MIB = 2 ** 20
/** A writer on a frozen file system cannot even be killed: whatever happens, this thaws it. */
const THAW_S = 20

/** Makes, writes to, renames and syncs files until it is killed; says when it has begun. */
const LOAD = `
const fs = require('node:fs')
const folder = process.argv[1]
for (let i = 0; ; i++) {
  const path = folder + '/f' + (i * 7 % 500)
  fs.writeFileSync(path, 'x'.repeat(300), { flush: true })
  try { fs.renameSync(folder + '/f' + (i * 11 % 500), folder + '/g' + (i * 13 % 500)) } catch {}
  if (i === 20) process.stdout.write('busy')
}`

export class MountedImage implements AsyncDisposable {
  readonly path: string
  readonly #folder: string
  readonly mountpoint: string
  #load: ChildProcess | undefined

  private constructor(folder: string) {
    this.#folder = folder
    this.path = join(folder, 'image')
    this.mountpoint = join(folder, 'mnt')
  }

  /** `makeArguments` come before the image's path. Needs root, and loop devices. */
  static async create(type: string, makeArguments: readonly string[]): Promise<MountedImage> {
    const image = new MountedImage(await mkdtemp(join(tmpdir(), 'stillpoint-mounted-')))
    await writeFile(image.path, '')
    await truncate(image.path, 320 * MIB)
    await mkdir(image.mountpoint)
    await run(`mkfs.${type}`, ...makeArguments, image.path)
    await run('mount', '-o', 'loop', '-t', type, image.path, image.mountpoint)
    return image
  }

  /** Resolves once the first files are written. */
  async startLoad(): Promise<void> {
    const load = spawn(process.execPath, ['-e', LOAD, this.mountpoint],
      { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#load = load
    await once(load.stdout, 'data')
  }

  async stopLoad(): Promise<void> {
    const load = this.#load
    if (load === undefined) return
    this.#load = undefined
    load.kill('SIGKILL')
    if (load.exitCode === null && load.signalCode === null) await once(load, 'exit')
  }

  /** A copy of the image as it is now, which a busy file system changes meanwhile. */
  async copy(name: string): Promise<string> {
    const path = join(this.#folder, name)
    await run('cp', '--sparse=always', this.path, path)
    return path
  }

  async frozenCopy(name: string): Promise<string> {
    // Opened before the freeze: what thaws must not be started in the frozen time.
    const guard = spawn('sh', ['-c', `sleep ${THAW_S}; fsfreeze -u "$0"`, this.mountpoint],
      { stdio: 'ignore' })
    try {
      await run('fsfreeze', '-f', this.mountpoint)
      return await this.copy(name)
    } finally {
      await run('fsfreeze', '-u', this.mountpoint)
      guard.kill('SIGKILL')
    }
  }

  async unmount(): Promise<void> {
    await this.stopLoad()
    await run('umount', this.mountpoint)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopLoad()
    await runProgram('umount', [this.mountpoint], { signal, okCodes: [0, 32] })
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** What the field's own tool says of an image, read-only behind a loop device. */
export async function askTool(
  path: string, program: string, ...args: readonly string[]): Promise<string> {
  const device = (await run('losetup', '--find', '--show', '--read-only', path)).trim()
  try {
    return await run(program, ...args, device)
  } finally {
    await run('losetup', '--detach', device)
  }
}

async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await runProgram(program, args, {
    signal, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    okCodes: program === 'xfs_logprint' ? [0, 1] : [0], maxOutputBytes: 64 * MIB })
  return Buffer.from(stdout).toString()
}
