/** The event logs of a Windows out of one of its volumes. */

import type { ImageLogs } from '../../consistency/mod.ts'
import { entryNamed, type FileTree, type Inode } from '../../disk/mod.ts'
import { readEventLog, type EventLogReading, type EventQuery } from '../../eventlog/mod.ts'

const FOLDER = ['Windows', 'System32', 'winevt', 'Logs']

/**
 * What `query` asks for of its logs `Application` and `System`; undefined: this volume has no
 * Windows. Faults: `disk-unreadable` where the file system or a log cannot be followed; the
 * signal's.
 */
export async function readWindowsLogs(
  tree: FileTree, query: EventQuery, signal: AbortSignal): Promise<ImageLogs | undefined> {
  let folder = await tree.inode(tree.root)
  for (const name of FOLDER) {
    const next = await entry(tree, folder, name)
    if (next === undefined) return undefined
    folder = next
  }
  const read = async (name: string): Promise<EventLogReading | undefined> => {
    const log = await entry(tree, folder, name)
    return log === undefined ? undefined : readEventLog(log, query, signal)
  }
  const application = await read('Application.evtx')
  const system = await read('System.evtx')
  return { ...application && { application }, ...system && { system } }
}

async function entry(tree: FileTree, folder: Inode, name: string): Promise<Inode | undefined> {
  if (folder.kind !== 'folder') return undefined
  const found = entryNamed(tree, await tree.list(folder), name)
  return found === undefined ? undefined : tree.inode(found.inode)
}
