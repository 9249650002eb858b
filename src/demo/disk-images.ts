/** The data disks of a guest: blank file systems in sparse files, made without mounting. */

import { constants } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from '../base/program.ts'

export type DiskFormat = 'qcow2' | 'raw'

/** A disk to be made, or one that is there already (`path`) and is used as it is. */
export interface GuestDiskOptions {
  /** `[a-z0-9]{1,20}`: QEMU's node-name and the serial number that the guest sees. */
  readonly id: string
  readonly format?: DiskFormat
  /** An existing image; the guest writes to it. Left out: a blank one is made. */
  readonly path?: string
  /** An image of the same format to start from; the guest writes to a copy. */
  readonly copyOf?: string
  /** Of a blank disk; default 512 MiB, of which nearly nothing is allocated. */
  readonly sizeBytes?: number
  readonly fileSystem?: 'ext4' | 'xfs' | 'btrfs'
}

export interface GuestDisk {
  readonly id: string
  readonly path: string
  readonly format: DiskFormat
  /** QEMU's node-name of the format layer. */
  readonly nodeName: string
  /** QEMU's id of the virtio-blk device. */
  readonly deviceId: string
}

export const DEFAULT_DISKS: readonly GuestDiskOptions[] = [{ id: 'disk0' }, { id: 'disk1' }]
/** Shares the blocks where the file system can; a file that is there already is a fault. */
const COPY_FLAGS = constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL
const DEFAULT_SIZE_BYTES = 512 * 1024 * 1024

/** Quiet, without work left for the guest to finish in the background. */
const MAKE: Readonly<Record<'ext4' | 'xfs' | 'btrfs', readonly string[]>> = {
  ext4: ['mke2fs', '-q', '-t', 'ext4', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-q'],
  btrfs: ['mkfs.btrfs', '-q'],
}

/** Makes `options` ready to be used in `folder`. Faults: those of `runProgram`. */
export async function makeDisk(
  options: GuestDiskOptions, folder: string, signal: AbortSignal): Promise<GuestDisk> {
  const { id, format = 'qcow2' } = options
  const path = options.path ?? join(folder, `${id}.${format}`)
  if (options.copyOf !== undefined) await copyFile(options.copyOf, path, COPY_FLAGS)
  else if (options.path === undefined) await makeBlank(options, format, path, signal)
  return { id, path, format, nodeName: id, deviceId: `virtio-${id}` }
}

async function makeBlank(
  options: GuestDiskOptions, format: DiskFormat, path: string, signal: AbortSignal): Promise<void> {
  const raw = format === 'raw' ? path : `${path}.raw`
  const file = await open(raw, 'wx')
  try {
    await file.truncate(options.sizeBytes ?? DEFAULT_SIZE_BYTES)
  } finally {
    await file.close()
  }
  const [program = '', ...args] = MAKE[options.fileSystem ?? 'ext4']
  await runProgram(program, [...args, raw], { signal })
  if (format === 'raw') return
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path], { signal })
  await rm(raw)
}
