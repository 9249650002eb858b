/** Restores a machine's disks and description from a restore point into a folder. */

import { join } from 'node:path'
import { throwIfAborted, type Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import {
  encodeStoredMachine, readDocument, type PointDisk, type RestorePoint,
} from '../catalog/mod.ts'
import { dataRanges, type ImageFormat } from '../disk/mod.ts'
import {
  copyDisk, openDiskImage, type CopyDiskOptions, type Repository,
} from '../repository/mod.ts'
import { checkFreeSpace } from './free-space.ts'
import { createImageSink } from './image-sink.ts'
import { libvirtDomainFor } from './libvirt-domain.ts'
import { checkAbsent, NewFiles } from './new-files.ts'
import type { RestoredDisk } from './restored-disk.ts'

export interface RestoreRequest {
  /** Its index loaded, under a shared lock that the caller holds until the restore has ended. */
  readonly repository: Repository
  readonly point: Pick<RestorePoint, 'machine' | 'disks' | 'documents'>
  /** Made if it is not there. What is in it already is never overwritten. */
  readonly folder: string
  /** Ids of the disks to restore; default all. */
  readonly disks?: readonly string[]
  readonly format: ImageFormat
  /** Asked with the folder and the bytes needed; default `checkFreeSpace`. */
  readonly checkSpace?: (folder: string, neededBytes: number) => Promise<void>
  /** For `copyDisk`. */
  readonly copying?: CopyDiskOptions
}

export interface RestoreProgress {
  /** The disk being written. */
  readonly diskId: string
  /** Bytes written, of all disks; zeros are not counted, they are not written. */
  readonly doneBytes: number
  readonly totalBytes: number
}

export interface RestoredMachine {
  readonly disks: readonly RestoredDisk[]
  readonly machinePath: string
  readonly documentPaths: readonly string[]
  /** A definition for libvirt, of a machine that was libvirt's and is restored whole. */
  readonly domainPath: string | undefined
  /** Bytes of data written; the rest of the disks is holes. */
  readonly writtenBytes: number
}

/** What an image format adds for its tables, at most: 8 bytes for 64 KiB in qcow2. */
const TABLES_SHARE = 1 / 1024
/** … and for its fixed parts: VHDX begins with a log and tables of several megabytes. */
const TABLES_BYTES = 16 * 1024 * 1024
/** The document with a machine's UEFI variables, as the libvirt platform names it. */
const NVRAM = 'nvram.base64'

/**
 * Writes each disk as `FOLDER/<id>.<format>`, sparse, the platform's documents under
 * `FOLDER/platform/`, for libvirt's machines `FOLDER/domain.xml` and `FOLDER/nvram.fd`, and at last
 * `FOLDER/machine.json`: where that is, all is. Every blob is
 * verified as it is read. A fault or abort removes what this run has written; after a kill, what
 * is not whole has a name that ends in `.partial`.
 * Faults: `already-exists`, `no-space` (before anything is written, if it can be known),
 * `not-found` (no such disk), `io-error`, `program-*`, those of reading the repository.
 */
export async function restoreDisks(
  request: RestoreRequest, onProgress: (progress: RestoreProgress) => void, clock: Clock,
  signal: AbortSignal,
): Promise<RestoredMachine> {
  const { repository, point, folder, format } = request
  const chosen = chooseDisks(request)
  const pathOf = (disk: PointDisk): string => join(folder, `${disk.id}.${format}`)
  const disks = chosen.map((disk) =>
    ({ id: disk.id, path: pathOf(disk), format, sizeBytes: disk.sizeBytes }))
  const machinePath = join(folder, 'machine.json')
  const documents = point.documents.map((document) =>
    ({ document, path: join(folder, 'platform', document.name) }))
  const domainPath = join(folder, 'domain.xml')
  const nvramPath = join(folder, 'nvram.fd')
  await checkAbsent([machinePath, domainPath, nvramPath,
    ...[...disks, ...documents].map(({ path }) => path)])

  await using files = new NewFiles()
  await files.folder(folder)
  const totalBytes = await dataBytes(repository, chosen, signal)
  const tableBytes = chosen.length * TABLES_BYTES + totalBytes * TABLES_SHARE
  const { checkSpace = checkFreeSpace } = request
  await checkSpace(folder, totalBytes + (format === 'raw' ? 0 : tableBytes))

  let doneBytes = 0
  for (const disk of chosen) {
    const path = pathOf(disk)
    const before = doneBytes
    await restoreDisk(request, disk, path, clock, signal, (writtenBytes) => {
      doneBytes = before + writtenBytes
      onProgress({ diskId: disk.id, doneBytes, totalBytes })
    })
    files.created(path)
  }
  if (documents.length > 0) await files.folder(join(folder, 'platform'))
  let nvram: string | undefined
  for (const { document, path } of documents) {
    const bytes = await readDocument(repository, document, signal)
    await files.write(path, bytes)
    if (document.name === NVRAM) {
      nvram = nvramPath
      await files.write(nvram, Buffer.from(Buffer.from(bytes).toString('latin1'), 'base64'))
    }
  }
  const isWhole = point.machine.platform === 'libvirt' && disks.length === point.disks.length
  const domain = isWhole ? libvirtDomainFor(point.machine, disks, nvram) : undefined
  if (domain !== undefined) await files.write(domainPath, Buffer.from(domain))
  throwIfAborted(signal)
  await files.write(machinePath, Buffer.from(encodeStoredMachine(point.machine)))
  files.keep()
  return {
    disks, machinePath, documentPaths: documents.map(({ path }) => path), writtenBytes: doneBytes,
    domainPath: domain === undefined ? undefined : domainPath,
  }
}

async function restoreDisk(
  { repository, format, copying = {} }: RestoreRequest, disk: PointDisk, path: string, clock: Clock,
  signal: AbortSignal, onWritten: (writtenBytes: number) => void,
): Promise<void> {
  await using sink = await createImageSink(path, format, disk.sizeBytes, clock, signal)
  await copyDisk(repository, disk.treeId, disk, sink, copying, onWritten, signal)
  await sink.finish(signal)
}

function chooseDisks({ point, disks: wanted }: RestoreRequest): readonly PointDisk[] {
  if (wanted === undefined) return point.disks
  const known = point.disks.map(({ id }) => id)
  for (const id of wanted) {
    if (known.includes(id)) continue
    throw new Fault('not-found', `the restore point has no disk ${printable(id, 64)}`, {
      advice: `Its disks: ${known.join(', ')}.` })
  }
  return point.disks.filter(({ id }) => wanted.includes(id))
}

/** How much of the disks is not zero: what must be written. Reads all of their trees. */
async function dataBytes(
  repository: Repository, disks: readonly PointDisk[], signal: AbortSignal): Promise<number> {
  let bytes = 0
  for (const disk of disks) {
    await using image = openDiskImage(repository, disk.treeId, disk)
    const whole = { offset: 0, length: image.sizeBytes }
    const extents = image.extents?.(whole, signal) ?? [{ ...whole, kind: 'data' as const }]
    for await (const range of dataRanges(extents)) bytes += range.length
  }
  return bytes
}
