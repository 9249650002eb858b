/** A file inside a captured disk, as the readers of applications' files see it. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { Window } from '../probe/window.ts'

export interface ImageFile {
  readonly sizeBytes: number
  /**
   * The bytes from `offset` that lie before the file's end, at most `length`. Fault:
   * `disk-unreadable` where the file system is damaged.
   */
  read(offset: number, length: number): Promise<Buffer>
}

export type InodeKind = 'file' | 'folder' | 'link' | 'other'

export interface Inode extends ImageFile {
  readonly kind: InodeKind
  /** What a symbolic link that is kept in the inode itself says. */
  readonly inlineTarget: string | undefined
}

export interface FolderEntry {
  readonly name: string
  readonly inode: number
  /** What the folder itself says of it, where it does. */
  readonly isFolder?: boolean
}

/** A file system's files. Faults of all: `disk-unreadable`, and those of reading. */
export interface FileTree {
  /** The number of its root folder. */
  readonly root: number
  inode(number: number): Promise<Inode>
  /** What the folder holds, without `.` and `..`. */
  list(folder: Inode): Promise<readonly FolderEntry[]>
  /** Names that it makes the same are one name here; left out where each is its own. */
  fold?(name: string): string
}

/** The entry that `name` means: the one that is written so, else one that is the same here. */
export function entryNamed(
  tree: FileTree, entries: readonly FolderEntry[], name: string): FolderEntry | undefined {
  const exact = entries.find((entry) => entry.name === name)
  const folded = tree.fold?.(name)
  return exact ?? (folded === undefined ? undefined
    : entries.find((entry) => tree.fold?.(entry.name) === folded))
}

/** Of one folder: more than a hundred thousand files. */
export const MAX_FOLDER_BYTES = 16 * 1024 * 1024

/** Bytes that must be there. Fault: `disk-unreadable`. */
export async function readWindow(
  window: Window, offset: number, length: number): Promise<Buffer> {
  return await window.read(offset, length) ?? fail(`it points at ${offset}, outside of itself`)
}

/** A file system that cannot be followed: damaged, or laid out in a way that is not read. */
export function fail(how: string): never {
  throw new Fault('disk-unreadable', `the file system cannot be read: ${printable(how)}`)
}
