/** The program and a machine on vcsim, as the tests of whole backups have them. */

import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import { quietEnvironment } from '../../src/base/program.ts'
import { VsphereBench, type FrontHandler } from '../../src/providers/testing/mod.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))
export const MIB = 2 ** 20
export const DISK_BYTES = 16 * MIB

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The program, its repository, and a machine on vcsim whose disk holds an ext4 file system. */
export class Round implements AsyncDisposable {
  readonly bench: VsphereBench
  readonly image: Buffer

  private constructor(bench: VsphereBench, image: Buffer) {
    this.bench = bench
    this.image = image
  }

  static async start(
    handler: FrontHandler = () => false, ...flags: readonly string[]): Promise<Round> {
    await using stack = new AsyncDisposableStack()
    const bench = stack.use(await VsphereBench.start(handler, ...flags))
    const { folder, options, machine } = bench
    await mkdir(join(folder, 'files'))
    writeFileSync(join(folder, 'files', 'hello.txt'), 'hello from the machine\n')
    const image = join(folder, 'image')
    execFileSync('truncate', ['-s', String(DISK_BYTES), image])
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', join(folder, 'files'), image])
    const [disk] = (await bench.read()).disks
    if (disk?.sizeBytes !== DISK_BYTES) await bench.changeDisk(DISK_BYTES)
    await bench.fillDisk(readFileSync(image))
    await writeFile(join(folder, 'stillpoint.yaml'), [
      'repository: { path: repo, passwordFile: password }', 'evidence: { key: key }',
      'platforms:', '  vc:', '    type: vsphere', `    url: ${options.url}`, '    user: u',
      '    passwordFile: password', '    stateDir: state',
      `    fingerprint: ${options.fingerprint ?? ''}`,
      'machines:', `  ${machine}: { platform: vc }`, ''].join('\n'))
    const round = new Round(bench, readFileSync(image))
    assert.equal((await round.run('init')).code, 0)
    stack.move()
    return round
  }

  spawn(...args: readonly string[]): ChildProcess {
    return spawn(PROGRAM, args, {
      cwd: this.bench.folder, stdio: ['ignore', 'pipe', 'pipe'], env: quietEnvironment() })
  }

  async run(...args: readonly string[]): Promise<Ended> {
    const child = this.spawn(...args)
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (data: Buffer) => { stdout += data.toString() })
    child.stderr?.on('data', (data: Buffer) => { stderr += data.toString() })
    const [code] = await once(child, 'close') as [number | null]
    return { code, stdout, stderr }
  }

  /** The summary of a backup. */
  async backup(...args: readonly string[]): Promise<Backup> {
    const { code, stdout, stderr } = await this.run(
      'backup', this.bench.machine, '--json', '--quiet', ...args)
    const last: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    return { stderr, ...last as Omit<Backup, 'code' | 'stderr'>, code }
  }

  /** The disk of the newest point, restored into a folder of that name. */
  async restored(name: string): Promise<Buffer> {
    const { code, stderr } = await this.run('restore', 'latest', '--to', name)
    assert.equal(code, 0, stderr)
    const file = execFileSync('find', [name, '-type', 'f', '-name', 'scsi0-0*'],
      { cwd: this.bench.folder, encoding: 'utf8' }).trim()
    return readFile(join(this.bench.folder, file))
  }

  /** Tools run, and whatever snapshot is made next leaves this manifest. */
  async stageTools(): Promise<void> {
    await this.bench.stage({
      'guest.toolsRunningStatus': 'guestToolsRunning', 'guest.toolsStatus': 'toolsOk' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench[Symbol.asyncDispose]()
  }
}

export interface Backup {
  readonly code: number | null
  readonly stderr: string
  readonly grade: string
  readonly stored: boolean
  readonly method: string
  readonly reasons: readonly { readonly code: string }[]
  readonly bytesRead: number
  readonly mode: string
  readonly reason: string
  readonly applications: readonly { readonly name: string; readonly contract: string }[]
  readonly coverage: { readonly kind: string; readonly leftOut: readonly { reason: string }[] }
}

export const codes = ({ reasons }: Backup): readonly string[] => reasons.map(({ code }) => code)

/** Stages a manifest once the snapshot of the program is there, before it looks at it. */
export function leavingManifest(of: () => Round, name: string, bytes: Uint8Array): FrontHandler {
  let isStaged = false
  return async ({ method, body }) => {
    const isLook = method === 'RetrievePropertiesEx' && body.includes('config.hardware')
    if (!isLook || isStaged || !body.includes('VirtualMachineSnapshot')) return false
    isStaged = true
    await of().bench.put(name, bytes)
    await of().bench.stageManifest(name)
    return false
  }
}

export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const { signal } = new AbortController()
  for (let n = 0; n < 1200; n++) {
    if (await isSo()) return
    await systemClock.sleep(50, signal)
  }
  assert.fail(`${what} did not come`)
}
