/** Is there room for what is to be restored? Asked before the first byte is written. */

import { statfs } from 'node:fs/promises'
import { Fault } from '../base/fault.ts'
import { formatBytes, printable } from '../base/text.ts'

/** Fault `no-space` unless the file system of `folder` has room for `neededBytes`. */
export async function checkFreeSpace(folder: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const availableBytes = bavail * bsize
  if (neededBytes <= availableBytes) return
  throw new Fault('no-space',
    `${printable(folder)} needs room for ${formatBytes(neededBytes)}, ${
      formatBytes(availableBytes)} are available`,
    { advice: 'Free space, choose another folder, or restore fewer disks with --disk.' })
}
