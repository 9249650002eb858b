/** Files that one run creates: never over another, and all gone again unless the run succeeds. */

import { lstat, mkdir, rm, rmdir } from 'node:fs/promises'
import { Fault } from '../base/fault.ts'
import { writeFault } from '../base/write-fault.ts'
import { alreadyExists, completePartial, createPartial, removePartial } from '../disk/mod.ts'

export class NewFiles implements AsyncDisposable {
  readonly #undo: (() => Promise<unknown>)[] = []

  /** Creates a folder and those above it; one that is there is used and kept. */
  async folder(path: string): Promise<void> {
    try {
      const first = await mkdir(path, { recursive: true, mode: 0o700 })
      if (first !== undefined) this.#undo.push(() => rmdir(path))
    } catch (cause) {
      throw writeFault(path, cause)
    }
  }

  /** Writes a file, 0600, whole and durable. Faults: `already-exists`, `no-space`, `io-error`. */
  async write(path: string, bytes: Uint8Array): Promise<void> {
    const { file, ...partial } = await createPartial(path)
    try {
      await file.writeFile(bytes)
      await file.sync()
      await completePartial(partial)
      this.created(path)
    } catch (error) {
      throw error instanceof Fault ? error : writeFault(path, error)
    } finally {
      await file.close()
      await removePartial(partial)
    }
  }

  /** A file that this run has created by other means. */
  created(path: string): void {
    this.#undo.push(() => rm(path, { force: true }))
  }

  /** The run has succeeded: everything stays. */
  keep(): void {
    this.#undo.length = 0
  }

  /** Best effort: what cannot be removed stays, the fault that led here matters more. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.#undo.splice(0).toReversed()) await undo().catch(() => {})
  }
}

/** Fault `already-exists` if there is anything at one of `paths`. */
export async function checkAbsent(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const isThere = await lstat(path).then(() => true, () => false)
    if (isThere) throw alreadyExists(path)
  }
}
