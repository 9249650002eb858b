/** Which disks can be read from their datastore, and in which file their bytes lie. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { parseDatastorePath, type DatastorePath } from './datastore.ts'
import type { VimDisk } from './devices.ts'

const FLAT = 'VirtualDiskFlatVer2BackingInfo'

/** How disks are read: from their datastore, or by VMware's library (VDDK). */
export type ReadingWay = 'folder' | 'vddk'

/**
 * Why a disk cannot be read: from its datastore `chain-not-flat` where it lies on a chain of files,
 * `unsupported` for other kinds than flat; undefined if it can. VDDK reads whatever has a snapshot.
 */
export function whyNotReadable(disk: VimDisk, way: ReadingWay): Fault | undefined {
  return way === 'vddk' ? undefined : whyNotFlat(disk)
}

function whyNotFlat({ id, backing }: VimDisk): Fault | undefined {
  if (backing.hasParent) {
    return new Fault('chain-not-flat',
      `disk ${id} lies on a chain of files (${printable(backing.fileName, 200)})`, {
        advice: 'Remove the machine\'s snapshots; linked clones are read by VDDK alone (vddk).' })
  }
  if (backing.type !== FLAT) {
    return new Fault('unsupported',
      `disk ${id} is of the kind ${printable(backing.type, 64)}, which is read by VDDK alone`, {
        advice: 'Name the folder of VDDK (vddk), or the disk under exclude.' })
  }
  if (backing.isEncrypted) {
    return new Fault('unsupported', `disk ${id} is encrypted by vSphere, and read by VDDK alone`, {
      advice: 'Name the folder of VDDK (vddk), or the disk under exclude.' })
  }
  return undefined
}

/** `[ds] vm/vm.vmdk` describes `[ds] vm/vm-flat.vmdk`. Fault: `platform-protocol`. */
export function flatFileOf({ id, backing }: VimDisk): DatastorePath {
  const { datastore, path } = parseDatastorePath(backing.fileName)
  if (path.endsWith('.vmdk')) return { datastore, path: path.replace(/\.vmdk$/, '-flat.vmdk') }
  throw new Fault('platform-protocol',
    `the file of disk ${id} has no name of one: ${printable(backing.fileName, 200)}`)
}
