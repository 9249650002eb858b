/** The mounts of this process, and the one that a path lies on (proc(5), `/proc/pid/mountinfo`). */

import { Fault } from '../base/fault.ts'
import { readSmallFile } from './small-file.ts'

export interface Mount {
  readonly id: number
  readonly parent: number
  readonly mountpoint: string
  /** What of its file system is mounted there: `/`, or a part for a bind mount or a subvolume. */
  readonly root: string
  /** The kernel's name for the type: `ext4`, `nfs4` … */
  readonly type: string
}

/** A host with many containers has some thousand mounts, of about 150 bytes each. */
const MAX_MOUNTINFO_BYTES = 8 * 1024 * 1024

/** Faults: `writer-failed`. */
export async function readMounts(procRoot: string): Promise<readonly Mount[]> {
  const path = `${procRoot}/self/mountinfo`
  try {
    return parseMounts(await readSmallFile(path, MAX_MOUNTINFO_BYTES))
  } catch (cause) {
    throw new Fault('writer-failed', `${path} could not be read`, { cause })
  }
}

/** `36 35 98:0 /root /mountpoint options [tag …] - type source options`; other lines are none. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [own = '', filesystem = ''] = line.split(' - ', 2)
    const [id = '', parent = '', , root = '', mountpoint = ''] = own.split(' ')
    const [type = ''] = filesystem.split(' ')
    if (!/^\d{1,10}$/.test(id) || !/^\d{1,10}$/.test(parent)) return []
    if (!mountpoint.startsWith('/') || type === '') return []
    return [{
      id: Number(id), parent: Number(parent), mountpoint: unescape(mountpoint),
      root: unescape(root), type }]
  })
}

/**
 * The mount that `path` (absolute, without symbolic links) lies on; undefined if that is not clear.
 * Goes the kernel's way, from the root across each mount on it: a longer mountpoint that was
 * covered later is never reached.
 */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map(({ id }) => id))
  let current = mounts.find(({ id, parent, mountpoint }) =>
    mountpoint === '/' && (id === parent || !ids.has(parent)))
  const seen = new Set<number>()
  while (current !== undefined && !seen.has(current.id)) {
    const { id } = current
    seen.add(id)
    const crossed = mounts
      .filter((it) => it.parent === id && it.id !== id && contains(it.mountpoint, path))
      .toSorted((a, b) => a.mountpoint.length - b.mountpoint.length)[0]
    if (crossed === undefined) return current
    current = crossed
  }
  return undefined
}

function contains(folder: string, path: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`)
}

/** Blanks and the like stand as three octal digits: `\040`. */
function unescape(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)))
}
