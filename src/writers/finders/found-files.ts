/**
 * Data of known kinds in the folders of a look, by path. Whoever wrote the files may be hostile:
 * nothing is opened but the first bytes of plain files.
 */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { printable } from '../../base/text.ts'
import type { DataKind } from './data-kinds.ts'
import type { Listing } from './look.ts'

/** Shown by themselves; more of a kind are one entry, which has the places of at most so many. */
const SHOWN_OF_A_KIND = 5
const MAX_PLACES_OF_MORE = 256

export class FoundFiles {
  readonly #kinds: readonly DataKind[]
  readonly #found = new Map<string, DataKind>()

  /** What is found within another's folder is part of it: the first kind of a folder counts. */
  constructor(kinds: readonly DataKind[]) {
    this.#kinds = kinds
  }

  /** `open`: of its files, those that a process has open. True if all in it is one thing. */
  async note(listing: Listing, open: ReadonlySet<string> = new Set()): Promise<boolean> {
    for (const kind of this.#kinds) {
      const names = kind.find({ ...listing, open })
      for (const name of names) {
        const path = join(listing.path, name)
        if (this.#found.has(path)) continue
        if (kind.sign === undefined || await hasSign(path, kind.sign)) this.#found.set(path, kind)
      }
      if (names.includes('.')) return true
    }
    return false
  }

  /** Without what lies in the folder of another. */
  paths(): ReadonlyMap<string, DataKind> {
    return new Map([...this.#found].filter(([path]) => {
      for (let above = dirname(path); above !== dirname(above); above = dirname(above)) {
        if (this.#found.has(above)) return false
      }
      return true
    }))
  }
}

export interface FilesOfAKind {
  readonly kind: DataKind
  /** Printable. */
  readonly name: string
  readonly paths: readonly string[]
}

/** The first of each kind by themselves, the others together. */
export function byKind(
  found: ReadonlyMap<string, DataKind>, kinds: readonly DataKind[]): readonly FilesOfAKind[] {
  return kinds.flatMap((kind) => {
    const paths = [...found].flatMap(([path, it]) => it === kind ? path : []).toSorted()
    const more = paths.slice(SHOWN_OF_A_KIND)
    return [
      ...paths.slice(0, SHOWN_OF_A_KIND).map((path) =>
        ({ kind, name: `${kind.title} ${printable(path, 200)}`, paths: [path] })),
      ...more.length === 0 ? [] : [{
        kind, name: `${kind.title}: ${more.length} more`,
        paths: more.slice(0, MAX_PLACES_OF_MORE) }],
    ]
  })
}

async function hasSign(
  path: string, { suffixes, begins }: NonNullable<DataKind['sign']>): Promise<boolean> {
  for (const suffix of suffixes) {
    const first = await firstBytes(path + suffix).catch(() => '')
    if (begins.includes(first)) return true
  }
  return false
}

/** Four, in hexadecimal. Its folder said that it is a plain file; it may be another by now. */
async function firstBytes(path: string): Promise<string> {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW, O_NOCTTY } = constants // Windows has the first alone
  await using file = await open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)
  if (!(await file.stat()).isFile()) return ''
  const buffer = Buffer.alloc(4)
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
  return buffer.toString('hex', 0, bytesRead)
}
