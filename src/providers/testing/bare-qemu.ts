/** A real QEMU without a guest: its firmware idles, and a test writes as a guest would. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { runProgram } from '../../base/program.ts'
import { QmpClient } from '../qemu/qmp-client.ts'

const signal = new AbortController().signal

/** Why a test needs to be skipped here; undefined if it need not. */
export function qemuMissing(): string | undefined {
  const missing = ['qemu-system-x86_64', 'qemu-img', 'qemu-io']
    .filter((program) => spawnSync(program, ['--version']).status !== 0)
  return missing.length === 0 ? undefined : `${missing.join(', ')} missing`
}

export interface BareQemuOptions {
  /** Existing, of the caller's, with a short path. */
  readonly folder: string
  /** Names of qcow2 images made in the folder, each of this size. */
  readonly images: readonly string[]
  readonly imageBytes?: number
  /** Given after the sockets and `-nodefaults`. Image paths are `folder/NAME.qcow2`. */
  readonly arguments: readonly string[]
  /** Runs QEMU as this user, to whom the folder is opened; only root can ask for it. */
  readonly userId?: number
}

export class BareQemu implements AsyncDisposable {
  readonly qmpSocket: string
  /** For the test alone. */
  readonly client: QmpClient
  readonly #folder: string
  readonly #ended: Promise<void>
  readonly #kill: () => void

  private constructor(
    folder: string, qmpSocket: string, client: QmpClient, ended: Promise<void>, kill: () => void) {
    this.#folder = folder
    this.qmpSocket = qmpSocket
    this.client = client
    this.#ended = ended
    this.#kill = kill
  }

  static async start(options: BareQemuOptions): Promise<BareQemu> {
    const { folder } = options
    for (const name of options.images) {
      await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', join(folder, `${name}.qcow2`),
        String(options.imageBytes ?? 64 * 1024 * 1024)], { signal })
    }
    const [qmpSocket, own] = [join(folder, 'qmp.sock'), join(folder, 'own.sock')]
    if (options.userId !== undefined) await openTo(options.userId, folder)
    const user = options.userId === undefined ? []
      : ['--reuid', String(options.userId), '--regid', String(options.userId), '--clear-groups']
    const qemu = spawn('setpriv', [...user, '--pdeathsig', 'KILL', 'qemu-system-x86_64',
      '-nodefaults', '-display', 'none', '-accel', 'tcg', '-m', '64',
      '-qmp', `unix:${qmpSocket},server=on,wait=off`, '-qmp', `unix:${own},server=on,wait=off`,
      ...options.arguments], { stdio: ['ignore', 'ignore', 'inherit'] })
    const ended = new Promise<void>((resolve) => { qemu.once('exit', () => resolve()) })
    const kill = (): void => { qemu.kill('SIGKILL') }
    try {
      while (!existsSync(own) && qemu.exitCode === null) await systemClock.sleep(10, signal)
      return new BareQemu(folder, qmpSocket, await connectOnceListening(own), ended, kill)
    } catch (error) {
      kill() // its output is inherited: a QEMU that stays would keep the test run from ending
      throw error
    }
  }

  /** The path of an image. */
  image(name: string): string {
    return join(this.#folder, `${name}.qcow2`)
  }

  /** Writes `length` bytes of `pattern` as the device's guest would, filters included. */
  async write(device: string, pattern: number, offset: number, length: number): Promise<void> {
    await this.qemuIo(device, `write -P ${pattern} ${offset} ${length}`)
  }

  async qemuIo(device: string, command: string): Promise<void> {
    const option = device.startsWith('/') ? '-d ' : ''
    await this.client.execute('human-monitor-command',
      { 'command-line': `qemu-io ${option}${device} "${command}"` }, signal)
  }

  /** The raw content of an image, read past QEMU; write nothing meanwhile. */
  async rawContent(name: string): Promise<Uint8Array> {
    const raw = join(this.#folder, `${name}.raw`)
    await runProgram('qemu-img',
      ['convert', '-U', '-f', 'qcow2', '-O', 'raw', this.image(name), raw], { signal })
    const content = await readFile(raw)
    await rm(raw)
    return content
  }

  /** Names of everything of ours in the machine. */
  async leavings(): Promise<readonly string[]> {
    const text = JSON.stringify([
      await this.client.execute('query-named-block-nodes', { flat: true }, signal),
      await this.client.execute('query-block-exports', {}, signal),
      await this.client.execute('query-jobs', {}, signal),
      await this.client.execute('query-block', {}, signal),
    ])
    return [...new Set(text.match(/stillpoint-[a-z0-9-]*/g))]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill()
    await this.#ended
    await this.client[Symbol.asyncDispose]()
  }
}

/** A socket's file is there before anybody listens on it. */
async function connectOnceListening(path: string): Promise<QmpClient> {
  for (let tries = 0; ; tries++) {
    try {
      return await QmpClient.connect(path, systemClock, signal)
    } catch (error) {
      if (tries === 100) throw error
      await systemClock.sleep(20, signal)
    }
  }
}

async function openTo(userId: number, folder: string): Promise<void> {
  await chown(folder, userId, userId)
  for (const name of await readdir(folder)) await chown(join(folder, name), userId, userId)
}
