/** A disk of a snapshot as a block source: VDDK reads it, nbdkit serves it, our own client asks. */

import { spawn, type ChildProcess } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { deadline, type Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import { quietEnvironment } from '../../../base/program.ts'
import { printable } from '../../../base/text.ts'
import { socketIn, workingFolder } from '../../../base/working-folder.ts'
import { connectNbd, type BlockSource } from '../../../disk/mod.ts'
import {
  nbdkitArguments, type VddkDisk, type VddkOptions, type VddkServer,
} from './vddk-options.ts'

/** VDDK logs in and opens the disk before it is served. */
const START_MS = 120_000
const STOP_MS = 20_000
const POLL_MS = 20
const LOG_BYTES = 4_000

/**
 * Opens the disk, which must have exactly `sizeBytes`. Dispose it: that ends nbdkit. Faults:
 * `program-missing`, `disk-unreadable`, `timed-out`, those of NBD.
 */
export async function openVddkSource(
  request: { readonly options: VddkOptions; readonly server: VddkServer; readonly disk: VddkDisk
    readonly sizeBytes: number }, clock: Clock, signal: AbortSignal,
): Promise<BlockSource> {
  const { options, server, disk, sizeBytes } = request
  await using opened = new AsyncDisposableStack()
  const { path: folder } = opened.use(await workingFolder('vddk'))
  const places = { socketPath: socketIn(folder), pidPath: join(folder, 'pid') }
  const program = new Nbdkit(nbdkitArguments(options, server, disk, places), disk.fileName)
  opened.defer(() => program.stop(clock))
  using limit = deadline(clock, START_MS, 'opening a disk by VDDK', signal)
  // The file is written when the socket listens.
  while (!await access(places.pidPath).then(() => true, () => false)) {
    await Promise.race([clock.sleep(POLL_MS, limit.signal), program.failure])
  }
  const source = opened.use(await connectNbd(
    { socketPath: places.socketPath, exportName: '' }, clock, limit.signal))
  if (source.sizeBytes !== sizeBytes) {
    throw new Fault('disk-unreadable', `${printable(disk.fileName, 200)} has ${
      source.sizeBytes} bytes by VDDK, and ${sizeBytes} by vSphere`)
  }
  const held = opened.move()
  const extents = source.extents?.bind(source)
  return {
    name: printable(disk.fileName, 200), sizeBytes,
    read: (...args) => source.read(...args),
    ...extents === undefined ? {} : { extents },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

class Nbdkit {
  /** Rejects when the program ends, however. */
  readonly failure: Promise<never>
  readonly #child: ChildProcess

  constructor(args: readonly string[], what: string) {
    // VDDK writes its log to standard error too.
    this.#child = spawn('nbdkit', args, {
      stdio: ['ignore', 'ignore', 'pipe'], env: quietEnvironment() })
    let complaint = ''
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-LOG_BYTES)
    })
    this.failure = new Promise((_resolve, reject) => {
      this.#child.on('error', (cause) => reject(
        new Fault('program-missing', 'nbdkit could not be started', { cause })))
      this.#child.on('close', () => reject(new Fault('disk-unreadable',
        `VDDK cannot read ${printable(what, 200)}`, { cause: new Error(lastLines(complaint)) })))
    })
    this.failure.catch(() => {}) // whoever waits hears of it
  }

  async stop(clock: Clock): Promise<void> {
    this.#child.kill('SIGTERM')
    using _ = clock.after(STOP_MS, () => this.#child.kill('SIGKILL'))
    await this.failure.catch(() => {})
  }
}

function lastLines(log: string): string {
  return printable(log.trim().split('\n').slice(-5).join('; '), 1000)
}
