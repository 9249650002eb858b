/**
 * A disk in a file and the parents of it, if it is one of differences: found by name, and held to
 * what it says of them.
 */

import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { BlockSource } from '../block-source.ts'
import { LayeredDisk, type DiskMap } from './layered-disk.ts'

/** More checkpoints than Hyper-V keeps of a machine (50). */
const MAX_DEPTH = 64
const MAX_NAME = 255

/**
 * Opens each file there is of that name, which has no folder in it, one after the other; whoever
 * takes one disposes it.
 */
export type FindFile = (name: string) => AsyncIterable<BlockSource>

/** Whether a file is the parent that is looked for, by what it says it is. */
export type Accepts = (identity: string) => boolean

/** What a file says of itself. */
export interface Layer {
  readonly map: DiskMap
  /** Where the map points into: the file, with what its log holds. */
  readonly contents: BlockSource
  /** Undefined: it has none. */
  readonly parent: Parent | undefined
}

export interface Parent {
  /** Where the child says that it is, hostile: only the last part of each is looked for. */
  readonly paths: readonly string[]
  /** What the child says it is or was. */
  readonly identities: readonly string[]
}

/** Undefined if what the file is is not accepted. Faults: `disk-unreadable`, those of reading. */
export type ReadLayer = (
  file: BlockSource, accepts: Accepts, signal: AbortSignal) => Promise<Layer | undefined>

/**
 * Opens the disk in `file`, which must be at rest, and the chain of its parents, each of which
 * `find` is asked for by name. Takes over `file`. Faults: those of `read`, and `chain-broken` (a
 * parent is missing or was changed).
 */
export async function openChain(
  file: BlockSource, find: FindFile, read: ReadLayer, signal: AbortSignal): Promise<BlockSource> {
  const open = async (
    file: BlockSource, accepts: Accepts, depth: number): Promise<BlockSource | undefined> => {
    await using opened = new AsyncDisposableStack()
    opened.use(file)
    const layer = await read(file, accepts, signal)
    if (layer === undefined) return undefined
    const { map, contents, parent } = layer
    const below = parent && await openParent(file.name, parent, find, depth,
      (found, accepts) => open(found, accepts, depth + 1))
    opened.move()
    return new LayeredDisk(map, contents, below)
  }
  return await open(file, () => true, 0) ?? assert.fail()
}

/** `open` gives nothing, and disposes the file, if what it is is not accepted. */
async function openParent(
  name: string, { paths, identities }: Parent, find: FindFile, depth: number,
  open: (file: BlockSource, accepts: Accepts) => Promise<BlockSource | undefined>,
): Promise<BlockSource> {
  if (depth >= MAX_DEPTH) {
    throw new Fault('chain-broken', `${name} has more than ${MAX_DEPTH} parents above it`)
  }
  const names = [...new Set(paths.map(lastPart))].filter((part) => part !== '')
  const others: string[] = []
  for (const wanted of names) {
    for await (const file of find(wanted)) {
      const found = await open(file, (identity) => identities.includes(identity))
      if (found !== undefined) return found
      others.push(file.name)
    }
  }
  if (others.length > 0) {
    throw new Fault('chain-broken',
      `${name} was not made from ${others.join(' or ')} as it is now`, {
        advice: 'A parent that was written to has lost its children: take all from a backup.' })
  }
  const shown = printable(names.join(' or ') || paths.join(' or '), 200)
  throw new Fault('chain-broken', `the parent of ${name} is not there: ${shown}`, {
    advice: 'Put all files of the chain where they are looked for.' })
}

/** As Windows or Linux writes paths. */
function lastPart(path: string): string {
  const part = path.split(/[\\/]/).at(-1) ?? ''
  return part === '.' || part === '..' || part.includes('\0') || part.length > MAX_NAME ? '' : part
}
