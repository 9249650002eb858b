/** `stillpoint files`: names as they are on the disks, made harmless. */

import { formatBytes, printable } from '../../base/text.ts'
import type { FetchedFile } from '../../engine/mod.ts'
import type { FileListing, ListedFile, PointVolume } from '../../recovery/mod.ts'
import { renderTable } from './table.ts'

/** As long as file systems make names, and links. */
const NAME = 4096

export function renderVolumes({ volumes }: { readonly volumes: readonly PointVolume[] }): string {
  if (volumes.length === 0) return 'no volume was found on its disks'
  return renderTable(
    [{ title: 'volume' }, { title: 'type' }, { title: 'mounted at' }, { title: 'files' }],
    volumes.map(({ name, type, mountpoints, unread, warning }) => [
      printable(name, 100), printable(type, 20), printable(mountpoints.join(', '), 200) || '-',
      unread !== undefined ? `not read: ${printable(unread)}`
        : warning === undefined ? 'read' : `read, but ${printable(warning)}`,
    ])).join('\n')
}

export function renderListing({ files }: FileListing): string {
  if (files.length === 0) return 'empty'
  return renderTable(
    [{ title: 'kind' }, { title: 'size', align: 'right' }, { title: 'name' }],
    files.map((file) => [
      file.kind, file.sizeBytes === undefined ? '-' : formatBytes(file.sizeBytes), nameOf(file),
    ])).join('\n')
}

function nameOf({ name, target }: ListedFile): string {
  return printable(name, NAME) + (target === undefined ? '' : ` -> ${printable(target, NAME)}`)
}

export function renderFetched({ path, sizeBytes }: FetchedFile): string {
  return `wrote ${printable(path, NAME)} (${formatBytes(sizeBytes)})`
}
