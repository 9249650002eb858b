/** Serves an image file over NBD with qemu-nbd, for the formats that QEMU knows. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { access, mkdir, rm } from 'node:fs/promises'
import { join, resolve as resolvePath } from 'node:path'
import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { quietEnvironment } from '../../base/program.ts'
import { printable } from '../../base/text.ts'
import { socketIn, workingFolder } from '../../base/working-folder.ts'

export const IMAGE_FORMATS = ['raw', 'qcow2', 'vmdk', 'vhdx'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]

export interface ImageServer extends AsyncDisposable {
  /** In a folder that only this user may enter; the export has the empty name. */
  readonly socketPath: string
  /**
   * After the last connection was closed: resolves when the image is closed too. Faults:
   * `program-failed` (the image may be damaged), `timed-out`.
   */
  closed(signal: AbortSignal): Promise<void>
}

/** How long qemu-nbd may take to open an image, and to write what it holds and end. */
const START_MS = 20_000
const STOP_MS = 60_000
const POLL_MS = 10

/**
 * Serves the image at `path`, whose format is given and never probed, until the last connection
 * to it is closed (so that nothing stays when this process is killed) or it is disposed. Images
 * may name other files; serve only those made by Stillpoint. Faults: `program-missing`,
 * `program-failed`, `timed-out`.
 */
export async function serveImage(
  image: { readonly path: string; readonly format: ImageFormat; readonly access: 'read' | 'write' },
  clock: Clock, signal: AbortSignal,
): Promise<ImageServer> {
  const { path } = await workingFolder('nbd')
  return serve(path, [
    ...(image.access === 'read' ? ['--read-only', '--shared=8'] : ['--discard=unmap']),
    nodeArgument({
      driver: image.format, file: { driver: 'file', filename: resolvePath(image.path) } }),
  ], clock, signal)
}

/** An image and those below it, the one on top first, of at least one. Paths are absolute. */
export type ImageChain = readonly { readonly path: string; readonly format: 'raw' | 'qcow2' }[]

export interface ServedChain {
  readonly chain: ImageChain
  readonly exportName: string
  /** One of the image on top: its context is `qemu:dirty-bitmap:NAME`. */
  readonly bitmap: string | undefined
  /** Made for the socket, and removed when the server is disposed. */
  readonly folder: string
}

/**
 * Serves a chain of images as `serveImage` does, read-only, and opens no file that is not named in
 * it. Takes no lock: whoever wants to write to the images may, and then what is read is nothing.
 */
export async function serveChain(
  { chain, exportName, bitmap, folder }: ServedChain, clock: Clock, signal: AbortSignal,
): Promise<ImageServer> {
  const node = chainNode(chain)
  await mkdir(folder, { mode: 0o700 })
  return serve(folder, ['--read-only', '--shared=8', `--export-name=${exportName}`,
    ...(bitmap === undefined ? [] : [`--bitmap=${bitmap}`]),
    nodeArgument({ ...node, 'read-only': true, 'force-share': true })], clock, signal)
}

type BlockNode = Readonly<Record<string, unknown>>

function chainNode([top, ...below]: ImageChain): BlockNode {
  assert(top !== undefined)
  return {
    driver: top.format, file: { driver: 'file', filename: top.path },
    ...(top.format === 'raw' ? {} : { backing: below.length === 0 ? null : chainNode(below) }),
  }
}

/** JSON leaves no room for a file name to be taken for an option or a protocol. */
function nodeArgument(node: BlockNode): string {
  return `json:${JSON.stringify(node)}`
}

/** Takes the folder over. */
async function serve(
  folder: string, args: readonly string[], clock: Clock, signal: AbortSignal,
): Promise<ImageServer> {
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const socketPath = socketIn(folder)
  const pidPath = join(folder, 'pid')
  const program = new QemuNbd(['--socket', socketPath, '--pid-file', pidPath, ...args])
  opened.defer(() => program.stop(clock))
  using limit = deadline(clock, START_MS, 'starting qemu-nbd', signal)
  // The file is written when the socket listens; a connection to try would end the program.
  while (!(await exists(pidPath))) {
    await Promise.race([clock.sleep(POLL_MS, limit.signal), program.failure])
  }
  const held = opened.move()
  return {
    socketPath,
    closed: async (signal) => {
      using limit = deadline(clock, STOP_MS, 'closing an image', signal)
      await abortable(program.success, limit.signal)
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

class QemuNbd {
  /** Resolves when the program ends well, rejects with why when it does not. */
  readonly success: Promise<void>
  /** Rejects when the program ends, however. */
  readonly failure: Promise<never>
  readonly #child: ChildProcess

  constructor(args: readonly string[]) {
    this.#child = spawn('qemu-nbd', args, {
      stdio: ['ignore', 'ignore', 'pipe'], env: quietEnvironment() })
    let complaint = ''
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-1000)
    })
    this.success = new Promise((resolve, reject) => {
      this.#child.on('error', (cause: NodeJS.ErrnoException) => reject(cause.code === 'ENOENT'
        ? new Fault('program-missing', 'qemu-nbd is not installed', {
          cause, advice: 'Install the package qemu-utils.' })
        : new Fault('program-failed', 'qemu-nbd could not be started', { cause })))
      this.#child.on('close', (code) => {
        if (code === 0) resolve()
        else reject(new Fault('program-failed', `qemu-nbd failed: ${printable(complaint.trim())}`))
      })
    })
    this.failure = this.success.then(() => {
      throw new Fault('program-failed', 'qemu-nbd ended early')
    })
    this.success.catch(() => {}) // whoever waits hears of it
    this.failure.catch(() => {})
  }

  /** Ends the program, gently first, and waits for it. */
  async stop(clock: Clock): Promise<void> {
    this.#child.kill('SIGTERM')
    using _ = clock.after(STOP_MS, () => this.#child.kill('SIGKILL'))
    await this.failure.catch(() => {})
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
