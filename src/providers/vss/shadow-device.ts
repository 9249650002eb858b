/**
 * A shadow copy's device as a disk. Windows reads a device in whole sectors only, and does not tell
 * its size by `stat`: both are known from the volume.
 */

import { open } from 'node:fs/promises'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { checkInside, fileSource, type BlockSource, type ReadableFile } from '../../disk/mod.ts'

/** Disks of 4 KiB sectors are read in these too; smaller sectors are parts of it. */
export const READ_ALIGNMENT = 4096

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

/** Takes `file` over. Fault of reading: `snapshot-broken`. */
export function shadowSource(name: string, sizeBytes: number, file: ReadableFile): BlockSource {
  const whole = fileSource(name, sizeBytes, file, (how, cause) =>
    new Fault('snapshot-broken', `${name} ${how}`, {
      cause,
      advice: 'See volsnap in the System log: the storage for shadow copies may be full.' }))
  return {
    name, sizeBytes,
    read: async (offset, length, signal) => {
      checkInside(whole, offset, length)
      const from = offset - offset % READ_ALIGNMENT
      const to = Math.min(
        Math.ceil((offset + length) / READ_ALIGNMENT) * READ_ALIGNMENT, sizeBytes)
      const bytes = await whole.read(from, to - from, signal)
      return from === offset && bytes.length === length ? bytes
        : bytes.slice(offset - from, offset - from + length)
    },
    [Symbol.asyncDispose]: () => whole[Symbol.asyncDispose](),
  }
}
