/**
 * A file under construction: it has the name `<path>.partial` until it is whole and durable, so
 * that nothing half-written ever stands under the name asked for.
 */

import { link, lstat, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from '../base/errno.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { writeFault } from '../base/write-fault.ts'

export interface PartialFile {
  /** Where the file is while it is being written. */
  readonly partialPath: string
  readonly path: string
}

/**
 * Creates the empty partial file, 0600; with `replace` it may take the place of another at the end.
 * Faults: `already-exists`, `no-space`, `io-error`.
 */
export async function createPartial(path: string, access: 'create' | 'replace' = 'create',
): Promise<PartialFile & { readonly file: FileHandle }> {
  if (access === 'create' && await exists(path)) throw alreadyExists(path)
  const partialPath = `${path}.partial`
  try {
    return { path, partialPath, file: await open(partialPath, 'wx+', 0o600) }
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw writeFault(partialPath, cause)
    throw new Fault('already-exists',
      `${printable(partialPath)} exists: another run writes it, or one was cut off`,
      { cause, advice: 'Remove it if no restore is running.' })
  }
}

/** As `completePartial`, in place of what has that name. */
export async function replaceWithPartial({ path, partialPath }: PartialFile): Promise<void> {
  await rename(partialPath, path).catch((cause) => {
    throw writeFault(path, cause)
  })
  await syncFolder(dirname(path))
}

/**
 * Gives the file, whose content is durable already, its name; durable when it resolves. Never
 * replaces a file that has appeared under that name. Faults: `already-exists`, `io-error`.
 */
export async function completePartial({ path, partialPath }: PartialFile): Promise<void> {
  try {
    await link(partialPath, path)
    await rm(partialPath)
  } catch (cause) {
    // vfat and some network file systems have no hard links; there the look and the step are two.
    if (await exists(path)) throw alreadyExists(path, cause)
    await rename(partialPath, path).catch((error) => {
      throw writeFault(path, error)
    })
  }
  await syncFolder(dirname(path))
}

/** Removes the partial file; one that is gone is no fault. */
export async function removePartial({ partialPath }: PartialFile): Promise<void> {
  await rm(partialPath, { force: true }).catch(() => {}) // reported by the fault that led here
}

const UNSYNCABLE = ['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM', 'EACCES']

/** Makes names created in a folder durable; where folders cannot be synced this does nothing. */
export async function syncFolder(path: string): Promise<void> {
  try {
    await using folder = await open(path, 'r')
    await folder.sync()
  } catch (cause) {
    if (!UNSYNCABLE.includes(errnoOf(cause))) throw writeFault(path, cause)
  }
}

/** The Fault for a path that is taken. */
export function alreadyExists(path: string, cause?: unknown): Fault {
  return new Fault('already-exists', `${printable(path)} exists already and is not overwritten`, {
    cause, advice: 'Choose another folder or name.' })
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return false
    throw new Fault('io-error', `${printable(path)} cannot be looked at`, { cause })
  }
}
