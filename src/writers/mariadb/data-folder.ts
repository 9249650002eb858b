/** A data directory of MariaDB or MySQL: links that lead out of it, tables of other engines. */

import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { readSmallFile } from '../small-file.ts'

export interface DataFolder {
  /** Folders and files elsewhere that files here stand for; absolute, links not resolved. */
  readonly links: readonly string[]
  /** How many tables of engines that do not recover from a crash: `MyISAM` → 3. */
  readonly fragile: ReadonlyMap<string, number>
}

/** A server with more files than this is not followed. */
const MAX_ENTRIES = 1_000_000
const MAX_LINK_BYTES = 16 * 1024
/** The servers' own tables, which they keep in any engine. */
const OWN_FOLDERS = new Set(['mysql', 'performance_schema', 'sys'])
const FRAGILE: Readonly<Record<string, string>> = {
  '.MYD': 'MyISAM', '.CSV': 'CSV', '.ARZ': 'ARCHIVE', '.MRG': 'MERGE',
}

/** Goes through the folder and its databases. Fault: `writer-failed`. */
export async function readDataFolder(path: string, signal: AbortSignal): Promise<DataFolder> {
  const links = new Set<string>()
  const fragile = new Map<string, number>()
  let entries = 0
  const look = async (folder: string): Promise<readonly Dirent[]> => {
    throwIfAborted(signal)
    const found = await list(folder)
    entries += found.length
    if (entries > MAX_ENTRIES) {
      throw new Fault('writer-failed', `${path} has more than ${MAX_ENTRIES} files`)
    }
    for (const entry of found) {
      if (entry.isSymbolicLink()) links.add(join(folder, entry.name))
      // InnoDB's own kind of link: a file that holds the path of the one it stands for.
      if (entry.name.endsWith('.isl')) {
        const target = (await readSmallFile(join(folder, entry.name), MAX_LINK_BYTES)).trim()
        if (target.startsWith('/')) links.add(dirname(target))
      }
    }
    return found
  }
  for (const entry of await look(path)) {
    if (!entry.isDirectory() && !entry.isSymbolicLink()) continue
    for (const { name } of await look(join(path, entry.name))) {
      const engine = FRAGILE[name.slice(name.lastIndexOf('.'))]
      if (engine === undefined || OWN_FOLDERS.has(entry.name)) continue
      fragile.set(engine, (fragile.get(engine) ?? 0) + 1)
    }
  }
  return { links: [...links], fragile }
}

async function list(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return [] // dropped meanwhile, or a link to a file
    throw new Fault('writer-failed', `${folder} may not be read`, {
      cause, advice: 'Run the agent as root: it must see the files of the servers it asks.' })
  }
}
