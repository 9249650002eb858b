/** The space that scratch files take: where the old content of what a guest overwrites goes. */

import { mkdir, stat, statfs } from 'node:fs/promises'
import { dirname, isAbsolute } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { formatBytes, printable } from '../../base/text.ts'

/** Holds the overlays where the images' own folder cannot be told (FHS: kept over reboots). */
const FALLBACK_FOLDER = '/var/tmp/stillpoint'

/** Least free space to begin with: 2 % of the disks, as much as a guest writes in a busy hour. */
const SHARE_OF_DISKS = 0.02
const LEAST_BYTES = 64 * 1024 * 1024
const MOST_BYTES = 8 * 1024 * 1024 * 1024

/** Below this a scratch file system counts as full: QEMU writes clusters of 64 KiB. */
const FULL_BYTES = 1024 * 1024

/** The folder for a disk's scratch: the operator's, or the image's, as a rule large enough. */
export async function scratchFolder(
  image: string, configured: string | undefined): Promise<string> {
  if (configured !== undefined) return configured
  // Another host's name or a device has no folder of its own to use.
  if (isAbsolute(image) && !image.startsWith('/dev/')) {
    const isFile = await stat(image).then((found) => found.isFile(), () => false)
    if (isFile) return dirname(image)
  }
  await mkdir(FALLBACK_FOLDER, { recursive: true, mode: 0o700 })
  return FALLBACK_FOLDER
}

/** A scratch folder, with what must be free in its file system. */
export interface ScratchSpace {
  readonly folder: string
  /** To begin with. */
  readonly leastBytes: number
  /** Below this the capture is given up: the machine's own images may need what is left. */
  readonly keepBytes: number
}

/** What each folder needs; `leastBytes` of the operator's stands for each of them. */
export function scratchSpaces(
  disks: readonly { readonly folder: string; readonly sizeBytes: number }[],
  leastBytes: number | undefined,
): readonly ScratchSpace[] {
  return [...new Set(disks.map(({ folder }) => folder))].map((folder) => {
    const total = disks.filter((disk) => disk.folder === folder)
      .reduce((sum, disk) => sum + disk.sizeBytes, 0)
    const least = leastBytes ?? Math.min(Math.max(total * SHARE_OF_DISKS, LEAST_BYTES), MOST_BYTES)
    return { folder, leastBytes: least, keepBytes: Math.floor(least / 2) }
  })
}

/** Faults `no-space` if a folder's file system has too little to begin with. */
export async function checkScratchSpace(spaces: readonly ScratchSpace[]): Promise<void> {
  for (const { folder, leastBytes } of spaces) {
    const free = await freeBytes(folder)
    if (free < leastBytes) {
      throw new Fault('no-space',
        `${printable(folder)} has ${formatBytes(free)} free for scratch files, ` +
        `less than the ${formatBytes(leastBytes)} needed to begin`,
        { advice: 'Free space there, or name another folder as scratch.' })
    }
  }
}

/** How often free space is looked at: a fast disk writes some 200 MB in this time. */
const LOOK_MS = 200

/**
 * Calls `onShort` once, with the fault, when a folder's file system has less than it is to keep.
 * QEMU would go on to the last byte, and a machine whose images share that file system would stop.
 */
export function watchScratch(
  spaces: readonly ScratchSpace[], clock: Clock, onShort: (fault: Fault) => void): Disposable {
  let isOver = false
  let timer = clock.after(LOOK_MS, () => void look())
  const look = async (): Promise<void> => {
    for (const { folder, keepBytes } of spaces) {
      const free = await freeBytes(folder).catch(() => Infinity)
      if (isOver) return
      if (free < keepBytes) {
        isOver = true
        return onShort(new Fault('scratch-full',
          `the capture was given up: ${printable(folder)} has only ${formatBytes(free)} left`,
          { retry: 'later', advice: 'Free space there, or name a larger scratch folder.' }))
      }
    }
    timer = clock.after(LOOK_MS, () => void look())
  }
  return { [Symbol.dispose]: () => {
    isOver = true
    timer[Symbol.dispose]()
  } }
}

/** Free bytes for an ordinary user. Faults: `io-error`. */
async function freeBytes(folder: string): Promise<number> {
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
