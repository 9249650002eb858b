/** Folders that are slow to build and never change: built once, whole or not at all. */

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { throwIfAborted } from '../base/clock.ts'

/** `.cache` of the checkout (git ignores it): where guests are kept unless told otherwise. */
export function defaultCacheDir(): string {
  return join(fileURLToPath(new URL('../..', import.meta.url)), '.cache', 'guests')
}

/**
 * Returns `folder`, filled by `build` unless it is there already. `build` works in a folder beside
 * it that is renamed when complete; of two builds at once the later one is thrown away. An abort
 * or fault leaves nothing behind.
 */
export async function builtOnce(
  folder: string,
  build: (unfinished: string) => Promise<void>,
  signal: AbortSignal,
): Promise<string> {
  if (existsSync(folder)) return folder
  throwIfAborted(signal)
  await mkdir(dirname(folder), { recursive: true })
  const unfinished = await mkdtemp(`${folder}.unfinished-`)
  try {
    await build(unfinished)
    throwIfAborted(signal)
    try {
      await rename(unfinished, folder)
    } catch (error) {
      if (!existsSync(folder)) throw error // otherwise another build was quicker
    }
    return folder
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}
