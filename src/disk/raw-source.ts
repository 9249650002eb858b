/** Raw images for reading: a file or block device whose bytes are the disk's. */

import { open, readFile, type FileHandle } from 'node:fs/promises'
import { throwIfAborted } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { bufferFor, checkInside, type BlockSource } from './block-source.ts'

/**
 * Opens a raw image file or block device for reading. It has no `extents`: Node offers neither
 * SEEK_HOLE nor FIEMAP, so who wants zeros must look at what was read.
 * Faults: `not-found`, `io-error`, `unsupported` (neither file nor block device).
 */
export async function openRawSource(path: string, signal: AbortSignal): Promise<BlockSource> {
  throwIfAborted(signal)
  const name = `raw image ${printable(path)}`
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new Fault('not-found', `there is no ${name}`, { cause })
    throw new Fault('io-error', `${name} cannot be opened`, { cause })
  })
  try {
    return fileSource(name, await sizeOf(file, name), file)
  } catch (error) {
    await file.close()
    throw error
  }
}

async function sizeOf(file: FileHandle, name: string): Promise<number> {
  const facts = await file.stat({ bigint: true })
  if (facts.isFile()) return Number(facts.size)
  if (!facts.isBlockDevice()) {
    throw new Fault('unsupported', `${name} is neither file nor block device`)
  }
  // The numbers of a Linux device (makedev(3)); its size stands in sysfs, in units of 512 bytes.
  const major = (facts.rdev >> 8n) & 0xfffn
  const minor = (facts.rdev & 0xffn) | ((facts.rdev >> 12n) & 0xfff00n)
  const sectors = Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8'))
  if (!Number.isSafeInteger(sectors * 512)) throw new Fault('io-error', `${name} has no known size`)
  return sectors * 512
}

/** What is asked of an open file. */
export type ReadableFile = Pick<FileHandle, 'read' | 'close'>

/** The fault of a file that cannot be read: `how` follows its name. */
export type UnreadableFault = (how: string, cause?: unknown) => Fault

/** The first `sizeBytes` of an open file as a disk, which takes it over. */
export function fileSource(
  name: string, sizeBytes: number, file: ReadableFile,
  unreadable: UnreadableFault = (how, cause) =>
    new Fault('disk-unreadable', `${name} ${how}`, { cause }),
): BlockSource {
  return new FileSource(name, sizeBytes, file, unreadable)
}

class FileSource implements BlockSource {
  readonly name: string
  readonly sizeBytes: number
  readonly #file: ReadableFile
  readonly #unreadable: UnreadableFault
  #isClosed = false

  constructor(
    name: string, sizeBytes: number, file: ReadableFile, unreadable: UnreadableFault) {
    this.name = name
    this.sizeBytes = sizeBytes
    this.#file = file
    this.#unreadable = unreadable
  }

  async read(
    offset: number, length: number, signal: AbortSignal, memory?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    throwIfAborted(signal)
    const bytes = bufferFor(length, memory)
    for (let at = 0; at < length;) {
      const count = await this.#readOnce(bytes, at, offset + at)
      throwIfAborted(signal)
      if (count === 0) throw this.#unreadable(`ends at ${offset + at}`)
      at += count
    }
    return bytes
  }

  async #readOnce(bytes: Uint8Array, at: number, position: number): Promise<number> {
    if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`)
    try {
      return (await this.#file.read(bytes, at, bytes.length - at, position)).bytesRead
    } catch (cause) {
      if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`, { cause })
      throw this.#unreadable(`cannot be read at ${position}`, cause)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file.close().catch(() => {}) // a file that was only read loses nothing
  }
}
