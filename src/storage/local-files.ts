/** Exact reads and writes of local files: short transfers are continued or refused, never kept. */

import { lstat, open, type FileHandle } from 'node:fs/promises'
import { throwIfAborted } from '../base/clock.ts'
import { errnoOf } from '../base/errno.ts'
import { Fault } from '../base/fault.ts'
import type { ListedFile } from './storage.ts'

/** Writes all of `parts`, one after the other. */
export async function writeAll(
  handle: FileHandle, parts: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      throwIfAborted(signal)
      const { bytesWritten } = await handle.write(part, at, part.length - at)
      at += bytesWritten
    }
  }
}

/** Bytes of a file. */
export interface FileRange {
  readonly offset: number
  readonly length: number
}

/** Exactly the range of a file of `sizeBytes`; one that ends before is `repository-damaged`. */
export async function readExactly(
  handle: FileHandle, sizeBytes: number, { offset, length }: FileRange, signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  // Before anything is allocated: the range may come from a damaged index.
  if (offset + length > sizeBytes) throw tooShort(sizeBytes, offset + length)
  // Not zeroed, as all of it is filled or nobody gets it.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
  for (let at = 0; at < length;) {
    throwIfAborted(signal)
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at)
    if (bytesRead === 0) throw tooShort(offset + at, offset + length)
    at += bytesRead
  }
  return bytes
}

/** The whole file; one longer than `maxBytes` is `repository-damaged`. */
export async function readWhole(
  handle: FileHandle, maxBytes: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const { size } = await handle.stat()
  if (size > maxBytes) {
    throw new Fault('repository-damaged', `the file is ${size} bytes long, more than ${maxBytes}`)
  }
  return readExactly(handle, size, { offset: 0, length: size }, signal)
}

function tooShort(size: number, wanted: number): Fault {
  return new Fault('repository-damaged', `the file ends at byte ${size}, before byte ${wanted}`, {
    advice: 'Run a check of the repository: a file of the store is damaged.' })
}

/** A regular file at `path`; undefined where there is none, or something else. */
export async function listedFile(path: string, name: string): Promise<ListedFile | undefined> {
  const stats = await unlessMissing(() => lstat(path))
  return stats?.isFile() === true ? { name, sizeBytes: stats.size } : undefined
}

/** Undefined where the file or folder is not there. */
export async function unlessMissing<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Some network file systems cannot sync a folder, and Windows has no call for it (NTFS logs names
 * by itself); they have no weaker one to offer.
 */
const UNSYNCABLE: readonly string[] =
  process.platform === 'win32' ? ['EINVAL', 'ENOTSUP', 'EPERM'] : ['EINVAL', 'ENOTSUP']

/** Makes the names in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (!UNSYNCABLE.includes(errnoOf(error))) throw error
  }
}
