/** A repository in a local directory, in restic's layout, durable before it is visible. */

import { constants } from 'node:fs'
import {
  chmod, link, lstat, mkdir, open, readdir, realpath, rename, unlink, type FileHandle,
} from 'node:fs/promises'
import { join, sep } from 'node:path'
import { mapBounded } from '../base/bounded.ts'
import { throwIfAborted } from '../base/clock.ts'
import { errnoOf } from '../base/errno.ts'
import { Fault, isFault } from '../base/fault.ts'
import { systemRandom, type RandomBytes } from '../base/random.ts'
import { isFileName, layoutFolders, pathOf } from './file-name.ts'
import { storageFault } from './local-faults.ts'
import {
  listedFile, readWhole, syncFolder, unlessMissing, writeAll,
} from './local-files.ts'
import { OpenFiles } from './open-files.ts'
import type { FileKind, ListedFile, Storage, StorageFile } from './storage.ts'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600
/** A finished file is never written again; restic makes it read-only too. */
const FINISHED_MODE = 0o400
/** Packs lie in 256 folders: read one after the other they take twice as long. */
const FOLDERS_IN_FLIGHT = 8
/** How many files are asked for their size at once. */
const STATS_IN_FLIGHT = 16
/** More than any file of a repository; a bound for callers that gave none. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024
/**
 * Files whose removal must outlive a crash before the next step of a prune: it removes packs only
 * after the snapshots and index files that named them. Packs and locks may come back.
 */
const DURABLY_REMOVED: readonly FileKind[] = ['config', 'keys', 'snapshots', 'index']

/**
 * The store in directory `path`. Touches nothing until it is used. Folders are made 0700, files
 * 0400. Symbolic links in place of files are refused, folders that lead out of `path` as well;
 * `path` itself may be a link. A crash may leave files named `.tmp-…`, which no listing shows.
 */
export function openLocalStorage(path: string, random: RandomBytes = systemRandom): Storage {
  return new LocalStorage(path, random)
}

class LocalStorage implements Storage {
  readonly location: string
  readonly #random: RandomBytes
  readonly #open = new OpenFiles(openFile)
  readonly #checkedFolders = new Set<string>()
  /** Where `location` really is, once it was looked at. */
  #realRoot: string | undefined

  constructor(path: string, random: RandomBytes) {
    this.location = path
    this.#random = random
  }

  async create(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    await this.#wrap('make the folders', async () => {
      await mkdir(this.location, { recursive: true, mode: FOLDER_MODE })
      for (const folder of layoutFolders()) {
        throwIfAborted(signal)
        await mkdir(join(this.location, folder), { recursive: true, mode: FOLDER_MODE })
      }
      await syncFolder(join(this.location, 'data'))
      await syncFolder(this.location)
    })
  }

  async put(file: StorageFile, parts: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    const { folder, path } = this.#placeOf(file)
    const suffix = Buffer.from(this.#random(8)).toString('hex')
    const temporary = join(folder, `.tmp-${suffix}`)
    throwIfAborted(signal)
    await this.#wrap(`store ${file.kind} ${file.name}`, async () => {
      await this.#makeFolder(folder)
      try {
        await writeDurably(temporary, parts, signal)
        throwIfAborted(signal)
        await publish(temporary, path)
      } finally {
        await removeQuietly(temporary)
      }
      await syncFolder(folder)
    })
  }

  async get(
    file: StorageFile,
    options: { readonly range?: { offset: number; length: number }; readonly maxBytes?: number },
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { folder, path } = this.#placeOf(file)
    throwIfAborted(signal)
    return this.#wrap(`read ${file.kind} ${file.name}`, async () => {
      await this.#checkFolder(folder)
      if (options.range !== undefined) return this.#open.read(path, options.range, signal)
      await using handle = await openFile(path)
      return await readWhole(handle, options.maxBytes ?? MAX_FILE_BYTES, signal)
    })
  }

  async *list(kind: FileKind, signal: AbortSignal): AsyncIterable<ListedFile> {
    throwIfAborted(signal)
    // An unmounted store must not look like an empty one.
    await this.#wrap('list it', () => lstat(this.location))
    const bounds = { inFlight: STATS_IN_FLIGHT }
    for await (const file of mapBounded(this.#names(kind, signal), bounds, (name) => {
      throwIfAborted(signal)
      const path = join(this.location, pathOf({ kind, name }))
      return this.#wrap(`look at ${kind} ${name}`, () => listedFile(path, name))
    })) if (file !== undefined) yield file
  }

  /** What is named like files of this kind. A folder that is not there holds none. */
  async *#names(kind: FileKind, signal: AbortSignal): AsyncIterable<string> {
    if (kind === 'config') yield 'config'
    if (kind === 'data') await this.#wrap('list data', () => this.#checkShards())
    const folders = layoutFolders().filter((folder) =>
      kind === 'data' ? folder.startsWith('data/') : folder === kind)
    const read = async (folder: string): Promise<readonly string[]> => {
      throwIfAborted(signal)
      const path = join(this.location, folder)
      return this.#wrap(`list ${folder}`, async () => {
        await this.#checkFolder(path)
        return await unlessMissing(() => readdir(path)) ?? []
      })
    }
    const bounds = { inFlight: FOLDERS_IN_FLIGHT }
    for await (const names of mapBounded(folders, bounds, read)) {
      yield* names.filter((name) => isFileName(kind, name))
    }
  }

  async remove(file: StorageFile, signal: AbortSignal): Promise<void> {
    const { folder, path } = this.#placeOf(file)
    throwIfAborted(signal)
    await this.#wrap(`remove ${file.kind} ${file.name}`, async () => {
      await this.#checkFolder(folder)
      try {
        await unlink(path)
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return
        throw error
      } finally {
        await this.#open.close(path)
      }
      if (DURABLY_REMOVED.includes(file.kind)) await syncFolder(folder)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]()
  }

  #placeOf(file: StorageFile): { readonly folder: string; readonly path: string } {
    const path = join(this.location, pathOf(file))
    return { folder: join(path, '..'), path }
  }

  /** A store copied without its empty folders lacks some; they come back when needed. */
  async #makeFolder(folder: string): Promise<void> {
    if (this.#checkedFolders.has(folder)) return
    try {
      await mkdir(folder, { mode: FOLDER_MODE })
      await syncFolder(join(folder, '..'))
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    await this.#checkFolder(folder)
  }

  async #checkFolder(folder: string): Promise<void> {
    if (this.#checkedFolders.has(folder)) return
    const real = await unlessMissing(() => realpath(folder))
    if (real === undefined) return
    const root = this.#realRoot ??= await realpath(this.location)
    if (real !== root && !real.startsWith(root.endsWith(sep) ? root : root + sep)) {
      throw new Fault('storage-failed', `${folder} leads out of the store`, {
        advice: 'Replace the symbolic link by a folder.' })
    }
    this.#checkedFolders.add(folder)
  }

  /** One look for all 256: a folder in `data` that is no link lies in the store as `data` does. */
  async #checkShards(): Promise<void> {
    const data = join(this.location, 'data')
    await this.#checkFolder(data)
    const entries = await unlessMissing(() => readdir(data, { withFileTypes: true })) ?? []
    for (const entry of entries) {
      if (entry.isDirectory()) this.#checkedFolders.add(join(data, entry.name))
    }
  }

  async #wrap<T>(what: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      throw isFault(error) ? error : storageFault(this.location, what, error)
    }
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') throw new Fault('not-found', `${path} is missing`, { cause })
    throw cause
  }
}

async function writeDurably(
  path: string, parts: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
  await using handle = await open(path, 'wx', FILE_MODE)
  await writeAll(handle, parts, signal)
  await handle.chmod(FINISHED_MODE)
  await handle.sync()
}

/** Gives `temporary` its name without ever replacing a file of that name. */
async function publish(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'EEXIST') throw alreadyThere(path, error)
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') {
      throw error
    }
    // No hard links here (FAT, some network shares). Between look and rename another process may
    // store the same name, which is the hash of the content: it loses nothing.
    if (await exists(path)) throw alreadyThere(path, error)
    await rename(temporary, path)
  }
}

function alreadyThere(path: string, cause: unknown): Fault {
  return new Fault('already-exists', `${path} exists already`, { cause })
}

async function exists(path: string): Promise<boolean> {
  return await unlessMissing(() => lstat(path)) !== undefined
}

/** The temporary file is gone already after a rename, and after a crash nobody looks at it. */
async function removeQuietly(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    // Some network file systems refuse to unlink a read-only file.
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') {
      await chmod(path, FILE_MODE).then(() => unlink(path)).catch(() => {})
    }
  }
}
