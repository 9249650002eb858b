/**
 * Finds data that no service was found for: browsers, desktop programs, embedded databases. By the
 * files that processes have open, then by looking through the disks for as long as is allowed.
 * Whoever wrote the files may be hostile: nothing is opened but the first bytes of plain files.
 */

import { constants } from 'node:fs'
import { open, readlink } from 'node:fs/promises'
import { dirname, basename, join } from 'node:path'
import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import { readMounts, type Mount } from '../mounts.ts'
import { openFiles } from '../open-files.ts'
import { locatePlaces } from '../places.ts'
import type { ApplicationFinder } from '../writer-set.ts'
import { DATA_KINDS, isTelling, type DataKind } from './data-kinds.ts'
import { isLocal, localRoots, Look, type Listing, type LookLimits } from './local-folders.ts'

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
/** Beyond the limit of a look, until a request to a file system counts as one that never ends. */
const HUNG_MS = 5000
/** Shown by themselves; more of a kind are one entry, which has the places of at most so many. */
const SHOWN_OF_A_KIND = 5
const MAX_PLACES_OF_MORE = 256
const MAX_FOLDERS_OF_HANDLES = 2000

/** By path. */
type Found = ReadonlyMap<string, DataKind>

export function strayFiles(options: StrayFilesOptions): ApplicationFinder {
  const { clock, procRoot = '/proc' } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  return {
    name: 'stray files',
    async discover(signal) {
      const mounts = await readMounts(procRoot)
      const look = new Look(mounts, limits, clock, signal)
      const found = new Map<string, DataKind>()
      const handles = await foldersOfHandles(procRoot, mounts, signal)
      for (const [path, names] of handles.folders) {
        const listing = await look.list(path)
        if (listing !== undefined) await note(listing, names, found)
      }
      using limit = deadline(clock, limits.lookMs + HUNG_MS, 'looking through the disks', signal)
      const isWhole = await abortable(look.walk(options.roots ?? localRoots(mounts),
        (listing) => note(listing, new Set(), found)), limit.signal)
        .then(() => true, (error: unknown) => {
          if (isFault(error, 'timed-out')) return false
          throw error
        })
      const isCut = !isWhole || look.isCut || handles.isCut
      return [...await describe(withoutParts(found), procRoot), ...isCut ? [NOT_ALL] : []]
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

/** True if all in the folder is one thing. */
async function note(
  listing: Listing, open: ReadonlySet<string>, found: Map<string, DataKind>): Promise<boolean> {
  for (const kind of DATA_KINDS) {
    const names = kind.find({ ...listing, open })
    for (const name of names) {
      const path = join(listing.path, name)
      if (found.has(path)) continue
      if (kind.sign === undefined || await hasSign(path, kind.sign)) found.set(path, kind)
    }
    if (names.includes('.')) return true
  }
  return false
}

async function hasSign(
  path: string, { suffixes, begins }: NonNullable<DataKind['sign']>): Promise<boolean> {
  for (const suffix of suffixes) {
    const first = await firstBytes(path + suffix).catch(() => '')
    if (begins.includes(first)) return true
  }
  return false
}

/** Four, in hexadecimal. Its folder said that it is a plain file; it may be another by now. */
async function firstBytes(path: string): Promise<string> {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW, O_NOCTTY } = constants
  await using file = await open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)
  if (!(await file.stat()).isFile()) return ''
  const buffer = Buffer.alloc(4)
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
  return buffer.toString('hex', 0, bytesRead)
}

/** Without what lies in the folder of another. */
function withoutParts(found: Found): Found {
  return new Map([...found].filter(([path]) => {
    for (let above = dirname(path); above !== dirname(above); above = dirname(above)) {
      if (found.has(above)) return false
    }
    return true
  }))
}

async function describe(
  found: Found, procRoot: string): Promise<readonly DiscoveredApplication[]> {
  const applications: DiscoveredApplication[] = []
  for (const kind of DATA_KINDS) {
    const paths = [...found].flatMap(([path, it]) => it === kind ? path : []).toSorted()
    const { title, recovery, advice } = kind
    const common = { kind: 'incidental', recovery, advice } as const
    for (const path of paths.slice(0, SHOWN_OF_A_KIND)) {
      applications.push({
        ...common, name: `${title} ${printable(path, 200)}`,
        data: await locatePlaces([path], 'self', procRoot) })
    }
    const more = paths.slice(SHOWN_OF_A_KIND)
    if (more.length > 0) {
      applications.push({
        ...common, name: `${title}: ${more.length} more`,
        data: await locatePlaces(more.slice(0, MAX_PLACES_OF_MORE), 'self', procRoot) })
    }
  }
  return applications
}
