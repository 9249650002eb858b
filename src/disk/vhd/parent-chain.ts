/** The parents of a disk of differences, found by name and held to what it says of them. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { BlockSource } from '../block-source.ts'

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

export interface Child {
  readonly name: string
  /** Where it says that its parent is, hostile: only the last part of each is looked for. */
  readonly paths: readonly string[]
  /** What it says its parent is or was. */
  readonly identities: readonly string[]
}

/**
 * `open` gives nothing, and disposes the file, if what it is is not accepted. Faults:
 * `chain-broken`, and those of opening the parents.
 */
export async function openParent(
  { name, paths, identities }: Child, find: FindFile, depth: number,
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
