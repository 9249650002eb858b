/**
 * Finds data that no service was found for: browsers, desktop programs, embedded databases. By the
 * files that processes have open, then by looking through the disks for as long as is allowed.
 * Whoever wrote the files may be hostile: nothing is opened but the first bytes of plain files.
 */

import { readlink } from 'node:fs/promises'
import { dirname, basename } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import { readMounts, type Mount } from '../mounts.ts'
import { openFiles } from '../open-files.ts'
import { locatePlaces } from '../places.ts'
import type { ApplicationFinder } from '../writer-set.ts'
import { DATA_KINDS, isTelling } from './data-kinds.ts'
import { byKind, FoundFiles } from './found-files.ts'
import { isLocal, localFolders, localRoots } from './local-folders.ts'
import { Look, type LookLimits } from './look.ts'

export interface StrayFilesOptions {
  readonly clock: Clock
  readonly limits?: Partial<LookLimits>
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
  /** Folders to look through; default all that is mounted from disks. */
  readonly roots?: readonly string[]
}

const DEFAULT_LIMITS: LookLimits = {
  lookMs: 5000, // of the half minute that all writers have to look round
  entries: 300_000, // some seconds on a disk that turns
  depth: 16,
}
const MAX_FOLDERS_OF_HANDLES = 2000

export function strayFiles(options: StrayFilesOptions): ApplicationFinder {
  const { clock, procRoot = '/proc' } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  return {
    name: 'stray files',
    async discover(signal) {
      const mounts = await readMounts(procRoot)
      const look = new Look(localFolders(mounts), limits, clock, signal)
      const found = new FoundFiles(DATA_KINDS)
      const handles = await foldersOfHandles(procRoot, mounts, signal)
      for (const [path, names] of handles.folders) {
        const listing = await look.list(path)
        if (listing !== undefined) await found.note(listing, names)
      }
      await look.walk(options.roots ?? localRoots(mounts), (listing) => found.note(listing))
      const isCut = look.isCut || handles.isCut
      return [...await describe(found, procRoot), ...isCut ? [NOT_ALL] : []]
    },
  }
}

/** Said, so that nobody takes a short list for a whole one. */
const NOT_ALL: DiscoveredApplication = {
  name: 'files that were not looked at', kind: 'incidental', recovery: 'unknown',
  data: { state: 'unknown', detail: 'the look through the disks was cut off at its limits' },
  advice: 'Raise files: limits in the configuration of the agent to have more of them looked at.',
}

/** Folders of this machine's disks in which a process has a telling file open. */
async function foldersOfHandles(
  procRoot: string, mounts: readonly Mount[], signal: AbortSignal,
): Promise<{ folders: ReadonlyMap<string, Set<string>>; isCut: boolean }> {
  const folders = new Map<string, Set<string>>()
  const ours = await readlink(`${procRoot}/self/ns/mnt`).catch(() => 'unknown')
  const seesAsWe = new Map<number, boolean>()
  try {
    for await (const { pid, path } of openFiles(procRoot, signal)) {
      if (!isTelling(basename(path))) continue
      const isSame = seesAsWe.get(pid) ??
        await readlink(`${procRoot}/${pid}/ns/mnt`).catch(() => '') === ours
      seesAsWe.set(pid, isSame)
      if (!isSame || !isLocal(path, mounts)) continue // in a container, or not on our disks
      const names = folders.get(dirname(path)) ?? new Set()
      folders.set(dirname(path), names.add(basename(path)))
      if (folders.size >= MAX_FOLDERS_OF_HANDLES) return { folders, isCut: true }
    }
    return { folders, isCut: false }
  } catch (error) {
    if (!isFault(error, 'writer-failed')) throw error
    return { folders, isCut: true } // too many open files
  }
}

async function describe(
  found: FoundFiles, procRoot: string): Promise<readonly DiscoveredApplication[]> {
  const applications: DiscoveredApplication[] = []
  for (const { kind, name, paths } of byKind(found.paths(), DATA_KINDS)) {
    const { recovery, advice } = kind
    applications.push({
      kind: 'incidental', recovery, advice, name,
      data: await locatePlaces(paths, 'self', procRoot) })
  }
  return applications
}
