/** Which names a store may hold (restic design document, "Repository Layout"). */

import { strict as assert } from 'node:assert'
import type { FileKind, StorageFile } from './storage.ts'

const HEX_ID = /^[0-9a-f]{64}$/

/** True for `config` of kind `config`, and for 64 lowercase hexadecimal digits of any other. */
export function isFileName(kind: FileKind, name: string): boolean {
  return kind === 'config' ? name === 'config' : HEX_ID.test(name)
}

/**
 * The path of `file` below the root, `/` between parts: `config`, `data/4f/4f…`, `index/09…`.
 * A name that is not of the format would be a way out of the root: it fails the assertion.
 */
export function pathOf(file: StorageFile): string {
  assert(isFileName(file.kind, file.name), `not a name of a repository file: ${file.kind}`)
  if (file.kind === 'config') return 'config'
  if (file.kind === 'data') return `data/${file.name.slice(0, 2)}/${file.name}`
  return `${file.kind}/${file.name}`
}

/** The folders of the layout, parents first, `/` between parts. */
export function layoutFolders(): readonly string[] {
  const shards = Array.from({ length: 256 }, (_, n) => `data/${n.toString(16).padStart(2, '0')}`)
  return ['keys', 'locks', 'snapshots', 'index', 'data', ...shards]
}
