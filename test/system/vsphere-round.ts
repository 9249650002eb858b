/** The program and a machine on vcsim, as the tests of whole backups have them. */

import assert from 'node:assert/strict'
import { execFileSync, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { VsphereBench, type FrontHandler } from '../../src/providers/testing/mod.ts'
import { endOf, startProgram, type Ended } from './program.ts'

export const MIB = 2 ** 20
export const DISK_BYTES = 16 * MIB

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
    return startProgram(this.bench.folder, ...args)
  }

  run(...args: readonly string[]): Promise<Ended> {
    return endOf(this.spawn(...args))
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
