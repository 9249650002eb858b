/** Files that are read range by range, kept open from one read to the next. */

import type { FileHandle } from 'node:fs/promises'
import { readExactly, type FileRange } from './local-files.ts'

/** A reader of a disk goes through a few packs at once, and is seldom back at an earlier one. */
const KEPT_OPEN = 8

interface OpenFile {
  readonly opening: Promise<{ readonly handle: FileHandle; readonly sizeBytes: number }>
  readers: number
  /** Once not, the last reader closes it. */
  isKept: boolean
}

/**
 * Ranges of files that are never written again: to open, measure and close one anew takes longer
 * than to read from it. At most `KEPT_OPEN` stay open while nobody reads. Dispose it: they close.
 */
export class OpenFiles implements AsyncDisposable {
  readonly #open: (path: string) => Promise<FileHandle>
  /** By path; those read last come last. */
  readonly #files = new Map<string, OpenFile>()

  constructor(open: (path: string) => Promise<FileHandle>) {
    this.#open = open
  }

  /** Exactly the range. Faults: those of `readExactly` and of opening. */
  async read(
    path: string, range: FileRange, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const file = this.#files.get(path) ?? this.#start(path)
    this.#files.delete(path)
    this.#files.set(path, file)
    file.readers++
    try {
      const { handle, sizeBytes } = await file.opening
      return await readExactly(handle, sizeBytes, range, signal)
    } catch (error) {
      // It may do better when it is opened anew: a network file system lost its server.
      this.#forget(path, file)
      throw error
    } finally {
      file.readers--
      await closeUnused(file)
      await this.#closeOldest()
    }
  }

  /** Closes a file that is to go, or as soon as nobody reads it. */
  async close(path: string): Promise<void> {
    const file = this.#files.get(path)
    if (file === undefined) return
    this.#forget(path, file)
    await closeUnused(file)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#files.keys()].map((path) => this.close(path)))
  }

  #start(path: string): OpenFile {
    const open = async (): Promise<Awaited<OpenFile['opening']>> => {
      const handle = await this.#open(path)
      try {
        const { size } = await handle.stat()
        return { handle, sizeBytes: size }
      } catch (error) {
        await handle.close()
        throw error
      }
    }
    return { opening: open(), readers: 0, isKept: true }
  }

  #forget(path: string, file: OpenFile): void {
    file.isKept = false
    if (this.#files.get(path) === file) this.#files.delete(path)
  }

  async #closeOldest(): Promise<void> {
    for (const [path, file] of this.#files) {
      if (this.#files.size <= KEPT_OPEN) return
      if (file.readers === 0) await this.close(path)
    }
  }
}

async function closeUnused(file: OpenFile): Promise<void> {
  if (file.isKept || file.readers > 0) return
  const opened = await file.opening.catch(() => undefined)
  await opened?.handle.close()
}
