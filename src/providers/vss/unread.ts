/**
 * What of a shadow copy is not read: clusters of an NTFS that are free, and contents of files that
 * are worth nothing in a restored Windows. All of it is zeros in the restore point, which keeps a
 * document that says so.
 */

import type { Log } from '../../base/log.ts'
import { printable } from '../../base/text.ts'
import { readNtfsUse, usedSource, type BlockSource, type NtfsUse } from '../../disk/mod.ts'

/** Windows makes them anew: memory that was paged out, and that of a sleep. */
export const PAGE_FILES: readonly string[] = [
  '\\pagefile.sys', '\\swapfile.sys', '\\hiberfil.sys']

export const UNREAD_NAME = 'vss-not-read.json'

export class UnreadParts {
  readonly #leaveOut: readonly string[]
  readonly #log: Log
  readonly #uses = new Map<string, NtfsUse>()

  /** `leaveOut`: `C:\folder\file`, or `\folder\file` of any volume; no wildcards, no variables. */
  constructor(leaveOut: readonly string[], log: Log) {
    this.#leaveOut = leaveOut
    this.#log = log
  }

  /**
   * The disk without what need not be read; all of it where that cannot be told. Takes `source`
   * over, also when it throws. Faults: those of reading it.
   */
  async without(
    diskId: string, mounts: readonly string[], source: BlockSource, signal: AbortSignal,
  ): Promise<BlockSource> {
    await using opened = new AsyncDisposableStack()
    opened.use(source)
    const use = await readNtfsUse(source, pathsOn(mounts, this.#leaveOut), signal)
    this.#uses.set(diskId, use)
    if (use.state === 'unknown') {
      this.#log.info('vss.read-in-full', { diskId, reason: printable(use.reason, 300) })
    }
    opened.move()
    return use.state === 'known' ? usedSource(source, use) : source
  }

  /** Of the disks that were opened; undefined before the first. */
  document(): { readonly name: string; readonly text: string } | undefined {
    if (this.#uses.size === 0) return undefined
    const disks = [...this.#uses].map(([id, use]) => use.state === 'unknown'
      ? { id, freeClusters: 'read', reason: printable(use.reason, 300) }
      : {
        id, freeClusters: 'zeros', clusterBytes: use.clusterBytes,
        readClusters: use.keptClusters, clusters: use.kept.clusters,
        filesAsZeros: use.leftOut.map(({ path, bytes }) => ({ path: printable(path, 300), bytes })),
      })
    return { name: UNREAD_NAME, text: JSON.stringify({ disks }) }
  }
}

/** Paths below the root of a volume that is mounted at `mounts`. */
function pathsOn(mounts: readonly string[], paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => {
    if (path.startsWith('\\')) return [path]
    const mount = mounts.find((it) => path.toLowerCase().startsWith(it.toLowerCase()))
    return mount === undefined ? [] : [path.slice(mount.length)]
  })
}
