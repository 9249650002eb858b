/** Which disks can be read from their datastore, and in which file their bytes lie. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { parseDatastorePath, type DatastorePath } from './datastore.ts'
import type { VimDisk } from './devices.ts'

const FLAT = 'VirtualDiskFlatVer2BackingInfo'

/**
 * Why a disk cannot be read as a flat file: `chain-not-flat` where it lies on a chain of files,
 * `unsupported` for other kinds; undefined if it can.
 */
export function whyNotReadable({ id, backing }: VimDisk): Fault | undefined {
  if (backing.hasParent) {
    return new Fault('chain-not-flat',
      `disk ${id} lies on a chain of files (${printable(backing.fileName, 200)})`, {
        advice: 'Remove the machine\'s snapshots; linked clones cannot be read this way.' })
  }
  if (backing.type !== FLAT) {
    return new Fault('unsupported',
      `disk ${id} is of the kind ${printable(backing.type, 64)}, which cannot be read yet`, {
        advice: 'Name it under exclude, and back its data up by other means.' })
  }
  if (backing.isEncrypted) {
    return new Fault('unsupported', `disk ${id} is encrypted by vSphere, and cannot be read yet`, {
      advice: 'Name it under exclude, and back its data up by other means.' })
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
