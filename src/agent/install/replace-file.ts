/**
 * Files that are replaced as a whole: whoever is killed meanwhile, or loses power, leaves the old
 * one or the new one under the name, and perhaps a temporary file, which the next run removes.
 */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  chmod, lstat, mkdir, open, readdir, readlink, realpath, rename, rm, stat, symlink,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { fileDigest } from '../../base/file-digest.ts'
import { printable } from '../../base/text.ts'

/** Marks what a run that was killed left beside a file. */
const TEMPORARY = '.stillpoint-new-'

/** Makes the folder of `path`, and sees to it that no link in it leads out of `root`. */
export async function makeFolderOf(path: string, root: string): Promise<void> {
  let there = dirname(path)
  while (!await realpath(there).then(() => true, () => false)) there = dirname(there)
  await checkInside(there, root)
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await checkInside(dirname(path), root)
}

async function checkInside(folder: string, root: string): Promise<void> {
  const real = await realpath(folder)
  if (root === '/' || real === root || real.startsWith(`${root}/`)) return
  throw new Fault('unsupported', `${printable(folder, 200)} leads out of ${printable(root, 200)}`)
}

/** Puts a copy of `source`, or these bytes, under `path`. Faults: those of the file system. */
export async function replaceFile(
  path: string, content: Uint8Array | { readonly copyOf: string }, mode: number,
  onPart: () => void = () => {},
): Promise<void> {
  await removeLeftovers(path)
  const temporary = temporaryOf(path)
  const file = await open(temporary, 'wx', 0o600)
  try {
    if (content instanceof Uint8Array) await file.writeFile(content)
    else {
      for await (const part of createReadStream(content.copyOf, { highWaterMark: 1024 * 1024 })) {
        await file.writeFile(part as Buffer) // goes on where the one before ended
        onPart()
      }
    }
    await file.sync()
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await chmod(temporary, mode)
  await rename(temporary, path)
  await syncFolder(path)
}

/** Puts a symbolic link under `path`; false if it was there. */
export async function replaceLink(path: string, target: string): Promise<boolean> {
  await removeLeftovers(path)
  if (await readlink(path).catch(() => '') === target) return false
  const temporary = temporaryOf(path)
  await symlink(target, temporary)
  await rename(temporary, path)
  await syncFolder(path)
  return true
}

/** Removes it and what killed runs left beside it; false if there was nothing. */
export async function removeFile(path: string): Promise<boolean> {
  if (!await realpath(dirname(path)).then(() => true, () => false)) return false
  await removeLeftovers(path)
  const isThere = await lstat(path).then(() => true, () => false)
  await rm(path, { force: true })
  if (isThere) await syncFolder(path)
  return isThere
}

/** As `digestOf`, of bytes. */
export function digestOfBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** SHA-256 of a file; undefined if it cannot be read. */
export async function digestOf(path: string): Promise<string | undefined> {
  try {
    return (await fileDigest(path)).digest
  } catch {
    return undefined
  }
}

/** True if `copy` is the same file as `original`, or one with this mode and the same bytes. */
export async function isSameFile(original: string, copy: string, mode: number): Promise<boolean> {
  const [from, to] = await Promise.all([stat(original), stat(copy).catch(() => undefined)])
  if (to === undefined) return false
  if (from.ino === to.ino && from.dev === to.dev) return true
  return from.size === to.size && (to.mode & 0o777) === mode &&
    await digestOf(original) === await digestOf(copy)
}

/** Of two runs at once each has its own; one that loses its file to the other ends with a fault. */
function temporaryOf(path: string): string {
  return join(dirname(path), `${TEMPORARY}${process.pid}-${basename(path)}`)
}

async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path)
  for (const name of await readdir(folder)) {
    if (!name.startsWith(TEMPORARY) || !name.endsWith(`-${basename(path)}`)) continue
    await rm(join(folder, name), { force: true })
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
