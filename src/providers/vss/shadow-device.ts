/**
 * A shadow copy's device as a disk. Windows reads a device in whole sectors only, and does not tell
 * its size by `stat`: both are known from the volume.
 */

import { open, type FileHandle } from 'node:fs/promises'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { checkInside, type BlockSource } from '../../disk/mod.ts'

/** Disks of 4 KiB sectors are read in these too; smaller sectors are parts of it. */
export const READ_ALIGNMENT = 4096

/** What is read of a device: all of it but for the tail that is no whole number of sectors. */
export type ReadDevice = Pick<FileHandle, 'read' | 'close'>

/**
 * Opens `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopyN`, without a backslash at its end.
 * Faults: `disk-unreadable`.
 */
export async function openShadowDevice(
  device: string, sizeBytes: number, signal: AbortSignal): Promise<BlockSource> {
  throwIfAborted(signal)
  const name = `shadow copy ${printable(device, 100)}`
  const file = await open(device, 'r').catch((cause: unknown) => {
    throw new Fault('disk-unreadable', `${name} cannot be opened`, { cause })
  })
  return shadowSource(name, sizeBytes, file)
}

export function shadowSource(name: string, sizeBytes: number, file: ReadDevice): BlockSource {
  return new ShadowSource(name, sizeBytes, file)
}

class ShadowSource implements BlockSource {
  readonly name: string
  readonly sizeBytes: number
  readonly #file: ReadDevice
  #isClosed = false

  constructor(name: string, sizeBytes: number, file: ReadDevice) {
    this.name = name
    this.sizeBytes = sizeBytes
    this.#file = file
  }

  async read(
    offset: number, length: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    throwIfAborted(signal)
    const from = offset - offset % READ_ALIGNMENT
    const to = Math.min(Math.ceil((offset + length) / READ_ALIGNMENT) * READ_ALIGNMENT,
      this.sizeBytes)
    const bytes = new Uint8Array(to - from)
    for (let at = 0; at < bytes.length;) {
      const count = await this.#readOnce(bytes, at, from + at)
      throwIfAborted(signal)
      if (count === 0) throw new Fault('snapshot-broken', `${this.name} ends at ${from + at}`)
      at += count
    }
    return from === offset && bytes.length === length ? bytes
      : bytes.slice(offset - from, offset - from + length)
  }

  async #readOnce(bytes: Uint8Array, at: number, position: number): Promise<number> {
    if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`)
    try {
      const { bytesRead } = await this.#file.read(bytes, at, bytes.length - at, position)
      return bytesRead
    } catch (cause) {
      if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`, { cause })
      throw new Fault('snapshot-broken', `${this.name} cannot be read at ${position}`, {
        cause,
        advice: 'See volsnap in the System log: the storage for shadow copies may be full.' })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file.close().catch(() => {})
  }
}
