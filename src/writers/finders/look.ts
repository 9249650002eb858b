/** Looks through folders, within limits of time, number and depth, and no longer than one hangs. */

import type { Dirent } from 'node:fs'
import { join } from 'node:path'
import { abortable, deadline, throwIfAborted, type Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'

/** Names in one folder. What is neither file nor folder (links, pipes, devices) is left out. */
export interface Listing {
  readonly path: string
  readonly files: ReadonlySet<string>
  readonly folders: ReadonlySet<string>
}

export interface LookLimits {
  readonly lookMs: number
  readonly entries: number
  readonly depth: number
}

/** The folders of one kind of system. */
export interface Folders {
  /** What is in the folder that is at `path` itself. Throws where it cannot be read, or is not. */
  entries(path: string): AsyncIterable<Dirent>
  /** Whether nobody goes into the folder at `path`, which is called `name`. */
  isLeftOut(path: string, name: string): boolean
}

/** Beyond the limit of a look, until a request to a file system counts as one that never ends. */
const HUNG_MS = 5000

/** One look, whose limits all that is read in it share. */
export class Look {
  readonly #folders: Folders
  readonly #limits: LookLimits
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #startMs: number
  readonly #seen = new Set<string>()
  #left: number
  #isCut = false

  constructor(folders: Folders, limits: LookLimits, clock: Clock, signal: AbortSignal) {
    this.#folders = folders
    this.#limits = limits
    this.#left = limits.entries
    this.#clock = clock
    this.#signal = signal
    this.#startMs = clock.monotonicMs()
  }

  /** Whether a limit kept it from something. */
  get isCut(): boolean {
    return this.#isCut
  }

  /** The folder, unless it was listed before, may not be read, or a limit is reached. */
  async list(path: string): Promise<Listing | undefined> {
    throwIfAborted(this.#signal)
    if (this.#seen.has(path)) return undefined
    this.#seen.add(path)
    const listing = { path, files: new Set<string>(), folders: new Set<string>() }
    try {
      for await (const entry of this.#folders.entries(path)) {
        if (!this.#mayGoOn()) return undefined
        note(entry, listing)
      }
    } catch {
      return undefined // gone, or not ours to read: found by its handles if it is in use
    }
    return listing
  }

  #mayGoOn(): boolean {
    const isOver = this.#left-- <= 0 ||
      this.#clock.monotonicMs() - this.#startMs > this.#limits.lookMs
    this.#isCut ||= isOver
    return !isOver
  }

  /**
   * `roots` and all below, breadth first: a limit cuts off what lies deep, and a file system that
   * does not answer what is behind it. No link is followed, and no folder entered in which `visit`
   * found that all of it is one thing.
   */
  async walk(
    roots: readonly string[], visit: (listing: Listing) => Promise<boolean>): Promise<void> {
    using limit = deadline(
      this.#clock, this.#limits.lookMs + HUNG_MS, 'looking through the disks', this.#signal)
    try {
      await abortable(this.#walk(roots, visit), limit.signal)
    } catch (error) {
      if (!isFault(error, 'timed-out')) throw error
      this.#isCut = true
    }
  }

  async #walk(
    roots: readonly string[], visit: (listing: Listing) => Promise<boolean>): Promise<void> {
    let level = roots
    for (let depth = 0; level.length > 0; depth++) {
      if (depth > this.#limits.depth) {
        this.#isCut = true
        return
      }
      const next: string[] = []
      for (const path of level) {
        if (this.#isCut) return
        const listing = await this.list(path)
        if (listing === undefined || await visit(listing)) continue
        for (const name of listing.folders) {
          const below = join(path, name)
          if (!this.#folders.isLeftOut(below, name)) next.push(below)
        }
      }
      level = next
    }
  }
}

function note(
  entry: Dirent, { files, folders }: { files: Set<string>; folders: Set<string> }): void {
  if (entry.isFile()) files.add(entry.name)
  else if (entry.isDirectory()) folders.add(entry.name)
}
