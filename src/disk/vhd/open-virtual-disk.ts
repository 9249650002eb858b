/** Virtual disks of Hyper-V in files, with the files of their chain beside them. */

import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BlockSource } from '../block-source.ts'
import { openRawSource } from '../raw-source.ts'
import type { FindFile } from './parent-chain.ts'
import { openVhd } from './vhd-source.ts'
import { openVhdx } from './vhdx-source.ts'

export type VirtualDiskFormat = 'vhd' | 'vhdx'

/**
 * Opens the disk at `path`, whose format is given. Parents are looked for, by the last part of
 * their names and whatever its case, in its own folder and in `folders`, and nowhere else. Faults:
 * those of `openVhdx` and `openRawSource`.
 */
export async function openVirtualDisk(
  path: string, format: VirtualDiskFormat, folders: readonly string[],
  signal: AbortSignal): Promise<BlockSource> {
  const find = findIn([dirname(path), ...folders], signal)
  const file = await openRawSource(path, signal)
  return format === 'vhd' ? openVhd(file, find, signal) : openVhdx(file, find, signal)
}

function findIn(folders: readonly string[], signal: AbortSignal): FindFile {
  return async function* (name) {
    for (const folder of folders) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
      const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink())
        .map((entry) => entry.name)
      const others = files.filter((file) => file !== name && alike(file, name))
      for (const file of [...files.filter((file) => file === name), ...others]) {
        yield await openRawSource(join(folder, file), signal)
      }
    }
  }
}

function alike(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
