/** Where files of a server lie: symbolic links resolved, and the mount of each. */

import { realpath, stat } from 'node:fs/promises'
import type { DataPlace, DataPlaces } from '../consistency/mod.ts'
import { mountOf, readMounts } from './mounts.ts'

/** A database with more tablespaces or files kept elsewhere is not followed. */
export const MAX_PLACES = 4096

/**
 * Locates `paths`, absolute and as the process `pid` (or we ourselves) call them. Unknown, with the
 * reason, if one cannot be followed, or if the process sees another file there than we do: it is in
 * a container.
 * Fault: `writer-failed` if the mounts cannot be read.
 */
export async function locatePlaces(
  paths: readonly string[], pid: number | 'self', procRoot: string,
): Promise<DataPlaces> {
  if (paths.length > MAX_PLACES) {
    return { state: 'unknown', detail: `it has data in more than ${MAX_PLACES} places` }
  }
  const mounts = await readMounts(procRoot)
  const places = new Map<string, DataPlace>()
  for (const path of paths) {
    const real = await resolvePath(path, `${procRoot}/${pid}/root`)
    if ('detail' in real) return { state: 'unknown', detail: real.detail }
    const mount = mountOf(real.path, mounts)
    if (mount === undefined) {
      return { state: 'unknown', detail: `it is not known which mount ${real.path} lies on` }
    }
    const { mountpoint, root, type } = mount
    places.set(real.path, {
      path: real.path, mountpoint, type, ...root === '/' ? {} : { root } })
  }
  return places.size === 0 ? { state: 'unknown', detail: 'no place was named' }
    : { state: 'located', places: [...places.values()] }
}

async function resolvePath(
  path: string, itsRoot: string): Promise<{ path: string } | { detail: string }> {
  try {
    const real = await realpath(path)
    const ours = await stat(real, { bigint: true })
    const its = await stat(itsRoot + real, { bigint: true })
    return ours.dev === its.dev && ours.ino === its.ino ? { path: real }
      : { detail: `the server sees another ${path} than the agent: it may run in a container` }
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return { detail: `${path} cannot be followed (${why})` }
  }
}
