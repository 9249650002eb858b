/** The readers of file systems by the probe's names, and which of them replay a log. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { VolumeEvidence } from '../consistency/mod.ts'
import {
  BtrfsFileSystem, ExtFileSystem, NtfsFileSystem, XfsFileSystem, type FileTree, type Window,
} from '../disk/mod.ts'

export type OpenTree = (window: Window) => Promise<FileTree>

const OPENERS: Readonly<Record<string, OpenTree>> = {
  btrfs: (window) => BtrfsFileSystem.open(window),
  ext: (window) => ExtFileSystem.open(window),
  ntfs: (window) => NtfsFileSystem.open(window),
  xfs: (window) => XfsFileSystem.open(window),
}

/** Of these the log is not replayed: one that was held, or dismounted, has nothing in it. */
const NOT_REPLAYED: ReadonlySet<string> = new Set(['ntfs', 'xfs'])

/** Undefined: of this type no files are read. */
export function treeOpener(type: string): OpenTree | undefined {
  return Object.hasOwn(OPENERS, type) ? OPENERS[type] : undefined
}

/** Whether its log may hold what has to be put in its place first, which is not done. */
export function isNotReplayed({ type, sign }: Pick<VolumeEvidence, 'type' | 'sign'>): boolean {
  return NOT_REPLAYED.has(type) && sign !== 'frozen' && sign !== 'clean'
}

export function unreadable(why: string): Fault {
  return new Fault('disk-unreadable', printable(why))
}
