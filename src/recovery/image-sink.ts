/** Disk images in the formats of other platforms, written through qemu-nbd: no second copy. */

import { chmod, mkdir, open, rm } from 'node:fs/promises'
import { basename, join, resolve as resolvePath } from 'node:path'
import { throwIfAborted, type Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { runProgram } from '../base/program.ts'
import { printable } from '../base/text.ts'
import { writeFault } from '../base/write-fault.ts'
import {
  alreadyExists, checkInside, completePartial, connectNbdSink, createRawSink, serveImage,
  type BlockSink, type ImageFormat, type ImageServer, type PartialFile,
} from '../disk/mod.ts'

/**
 * Creates the image `path` of `sizeBytes`, all zeros, in `format`. It gets its name when `finish`
 * has made it durable; disposed before, nothing is left. Faults: `already-exists`, `no-space`,
 * `io-error`, `program-missing`, `program-failed`.
 */
export async function createImageSink(
  path: string, format: ImageFormat, sizeBytes: number, clock: Clock, signal: AbortSignal,
): Promise<BlockSink> {
  if (format === 'raw') return createRawSink(path, sizeBytes, signal)
  throwIfAborted(signal)
  await using undo = new AsyncDisposableStack()
  // A folder of its own: a VMDK says its own file name inside, so it must be made under that.
  const folder = `${resolvePath(path)}.partial`
  await mkdir(folder, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'EEXIST' ? alreadyExists(folder, cause) : writeFault(folder, cause)
  })
  undo.defer(() => rm(folder, { recursive: true, force: true }))
  const partial = { path, partialPath: join(folder, basename(path)) }
  await runProgram('qemu-img', [
    'create', '-q', '-f', format, partial.partialPath, String(sizeBytes),
  ], { signal })
  await chmod(partial.partialPath, 0o600) // for when it leaves the folder
  const server = undo.use(
    await serveImage({ path: partial.partialPath, format, access: 'write' }, clock, signal))
  const target = { socketPath: server.socketPath, exportName: '' }
  const inner = undo.use(await connectNbdSink(target, clock, signal))
  if (inner.sizeBytes < sizeBytes) {
    throw new Fault('unsupported', `${format} cannot hold a disk of ${sizeBytes} bytes`)
  }
  const name = `${format} image ${printable(path)}`
  return new ImageSink({ name, sizeBytes, partial, inner, server }, undo.move())
}

interface ImageParts {
  readonly name: string
  readonly sizeBytes: number
  readonly partial: PartialFile
  readonly inner: BlockSink
  readonly server: ImageServer
}

class ImageSink implements BlockSink {
  readonly name: string
  readonly sizeBytes: number
  readonly #parts: ImageParts
  readonly #opened: AsyncDisposableStack

  constructor(parts: ImageParts, opened: AsyncDisposableStack) {
    this.name = parts.name
    this.sizeBytes = parts.sizeBytes
    this.#parts = parts
    this.#opened = opened
  }

  async write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    checkInside(this, offset, bytes.length)
    await this.#parts.inner.write(offset, bytes, signal)
  }

  /** The image is whole only when qemu-nbd has closed it: its tables are written last. */
  async finish(signal: AbortSignal): Promise<void> {
    const { inner, server, partial } = this.#parts
    await inner.finish(signal)
    await inner[Symbol.asyncDispose]()
    await server.closed(signal)
    try {
      await using file = await open(partial.partialPath, 'r+')
      await file.sync()
    } catch (cause) {
      throw writeFault(partial.path, cause)
    }
    throwIfAborted(signal)
    await completePartial(partial)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync()
  }
}
