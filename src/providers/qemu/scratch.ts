/** Scratch overlays: where QEMU puts the old content of what the guest overwrites. */

import { mkdir, open, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { runProgram } from '../../base/program.ts'
import { formatBytes, printable } from '../../base/text.ts'
import type { QemuDisk } from './disks.ts'

/** Holds the overlays where the images' own folder cannot be told (FHS: kept over reboots). */
const FALLBACK_FOLDER = '/var/tmp/stillpoint'

/** Least free space to begin with: 2 % of the disks, as much as a guest writes in a busy hour. */
const SHARE_OF_DISKS = 0.02
const LEAST_BYTES = 64 * 1024 * 1024
const MOST_BYTES = 8 * 1024 * 1024 * 1024

/** Below this a scratch file system counts as full: QEMU writes clusters of 64 KiB. */
const FULL_BYTES = 1024 * 1024

/** The folder for a disk's overlay: the operator's, or that of the image, as a rule large enough. */
export async function scratchFolder(
  disk: QemuDisk, configured: string | undefined): Promise<string> {
  if (configured !== undefined) return configured
  // Another host's name or a device has no folder of its own to use.
  if (isAbsolute(disk.file) && !disk.file.startsWith('/dev/')) {
    const isFile = await stat(disk.file).then((found) => found.isFile(), () => false)
    if (isFile) return dirname(disk.file)
  }
  await mkdir(FALLBACK_FOLDER, { recursive: true, mode: 0o700 })
  return FALLBACK_FOLDER
}

/** Faults `no-space` if one of the folders' file systems has too little to begin with. */
export async function checkScratchSpace(
  disks: readonly { readonly folder: string; readonly sizeBytes: number }[],
  leastBytes: number | undefined,
): Promise<void> {
  for (const folder of new Set(disks.map((disk) => disk.folder))) {
    const total = disks.filter((disk) => disk.folder === folder)
      .reduce((sum, disk) => sum + disk.sizeBytes, 0)
    const needed = leastBytes ?? Math.min(Math.max(total * SHARE_OF_DISKS, LEAST_BYTES), MOST_BYTES)
    const free = await freeBytes(folder)
    if (free < needed) {
      throw new Fault('no-space',
        `${printable(folder)} has ${formatBytes(free)} free for scratch files, ` +
        `less than the ${formatBytes(needed)} needed to begin`,
        { advice: 'Free space there, or name another folder as scratch.' })
    }
  }
}

/** Free bytes for an ordinary user. Faults: `io-error`. */
export async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch (cause) {
    throw new Fault('io-error', `the scratch folder ${printable(folder)} cannot be used`, {
      cause, advice: 'Create it, or name another folder as scratch.' })
  }
}

/** True if a folder's file system has no room for the next clusters. */
export async function isFull(folder: string): Promise<boolean> {
  return await freeBytes(folder).catch(() => Infinity) < FULL_BYTES
}

/**
 * Makes an empty qcow2 file of `sizeBytes` in `folder`, named `name`, readable by its owner alone.
 * Faults: `program-missing` (qemu-img), `program-failed`, `io-error`.
 */
export async function createScratch(
  folder: string, name: string, sizeBytes: number, signal: AbortSignal): Promise<string> {
  const file = join(folder, `${name}.qcow2`)
  try {
    // qemu-img would make it readable by all, and it will hold the guest's data.
    await (await open(file, 'wx', 0o600)).close()
  } catch (cause) {
    throw new Fault('io-error', `the scratch file ${printable(file)} cannot be made`, {
      cause, advice: 'Name another folder as scratch.' })
  }
  try {
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', file, String(sizeBytes)],
      { signal })
  } catch (error) {
    await removeScratch(file)
    throw error
  }
  return file
}

/**
 * Takes the file's name away; QEMU, which has it open, uses it on until its node is deleted or
 * its process ends. So no crash of anybody leaves scratch behind.
 */
export async function removeScratch(file: string): Promise<void> {
  await unlink(file).catch(() => {}) // the sweep finds it by its node and says what is wrong
}
