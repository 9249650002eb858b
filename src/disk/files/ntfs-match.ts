/** Files of an NTFS whose paths fit patterns, found through its folders, within limits. */

import { isFault } from '../../base/fault.ts'
import { fitsWildcard } from '../../base/wildcard.ts'
import type { FolderEntry } from './image-file.ts'
import { recordOf, type NtfsFileSystem } from './ntfs-file-system.ts'

export interface FilePattern {
  /** As whoever wrote it. */
  readonly entry: string
  /** Names of folders from the root; each may hold `*`. */
  readonly folders: readonly string[]
  /** The name of the file; may hold `*`. */
  readonly name: string
  /** Whether files in the folders below count too. */
  readonly recursive: boolean
}

export interface FittingFile {
  /** From the root, `folder\\file`. */
  readonly path: string
  readonly inode: number
  /** Of the first pattern that it fits. */
  readonly entry: string
}

export interface FittingFiles {
  readonly files: readonly FittingFile[]
  /** Whether a limit, or a folder that cannot be read, kept it from something. */
  readonly isCut: boolean
}

/** Files of anybody's begin here. */
export const FIRST_FILE = 24

export interface MatchLimits {
  readonly folders: number
  readonly files: number
  /** Of all folders' indexes together: damaged ones may all lie in the same clusters. */
  readonly indexBytes: number
  readonly depth: number
}

const LIMITS: MatchLimits = {
  folders: 200_000, files: 50_000, indexBytes: 8 * 2 ** 30,
  depth: 128, // as deep as Windows' own paths of 32,767 letters rarely are
}

interface Active {
  readonly pattern: FilePattern
  /** How many of its folders are behind us. */
  readonly at: number
}

interface Folder {
  readonly inode: number
  readonly path: string
  readonly active: readonly Active[]
}

/** Folders are entered only where a pattern leads. Fault: of reading, but `disk-unreadable`. */
export async function filesThatFit(
  volume: NtfsFileSystem, patterns: readonly FilePattern[], limits: MatchLimits = LIMITS,
): Promise<FittingFiles> {
  const files = new Map<number, FittingFile>()
  const seen = new Set<number>()
  let [isCut, indexBytes] = [false, 0]
  let level: readonly Folder[] = patterns.length === 0 ? [] : [
    { inode: volume.root, path: '', active: patterns.map((pattern) => ({ pattern, at: 0 })) }]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limits.depth) return { files: [...files.values()], isCut: true }
    const next: Folder[] = []
    for (const folder of level) {
      const isOver = seen.size >= limits.folders || indexBytes > limits.indexBytes
      const listed = isOver ? undefined : await listedFolder(volume, folder)
      seen.add(folder.inode)
      indexBytes += listed?.indexBytes ?? 0
      isCut ||= listed === undefined
      for (const entry of listed?.entries ?? []) {
        if (recordOf(entry.inode).number < FIRST_FILE) continue
        const { fits, below } = follow(entry, folder)
        if (fits !== undefined && entry.isFolder !== true && !files.has(entry.inode)) {
          if (files.size >= limits.files) return { files: [...files.values()], isCut: true }
          files.set(entry.inode, {
            path: `${folder.path}${entry.name}`, inode: entry.inode, entry: fits })
        }
        if (below.length > 0 && entry.isFolder !== false && !seen.has(entry.inode)) {
          next.push({
            inode: entry.inode, path: `${folder.path}${entry.name}\\`, active: below })
        }
      }
    }
    level = next
  }
  return { files: [...files.values()], isCut }
}

/** Which pattern the entry fits as a file, and those that lead on if it is a folder. */
function follow({ name }: FolderEntry, { active }: Folder): {
  readonly fits: string | undefined; readonly below: readonly Active[] } {
  let fits: string | undefined
  const below: Active[] = []
  for (const { pattern, at } of active) {
    const { folders } = pattern
    if (at < folders.length) {
      if (fitsWildcard(name, folders[at] ?? '')) below.push({ pattern, at: at + 1 })
      continue
    }
    if (fitsWildcard(name, pattern.name)) fits ??= pattern.entry
    if (pattern.recursive) below.push({ pattern, at })
  }
  return { fits, below }
}

/** Undefined where it cannot be read; none of what is no folder. */
async function listedFolder(volume: NtfsFileSystem, { inode }: Folder): Promise<{
  readonly entries: readonly FolderEntry[]; readonly indexBytes: number } | undefined> {
  try {
    const folder = await volume.inode(inode)
    if (folder.kind !== 'folder') return { entries: [], indexBytes: 0 }
    return {
      entries: await volume.list(folder), indexBytes: folder.index?.blocks?.sizeBytes ?? 0 }
  } catch (error) {
    if (isFault(error) && error.code === 'disk-unreadable') return undefined
    throw error
  }
}
