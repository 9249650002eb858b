/** A volume without what it does not use. */

import { throwIfAborted } from '../../base/clock.ts'
import { checkInside, type BlockSource } from '../block-source.ts'
import { mergeExtents } from '../extent-stream.ts'
import { between, endOf, type Extent, type Range } from '../extents.ts'
import type { KnownUse } from './ntfs-used.ts'

/** Zeros between two runs of data are read with them if they are no more. */
const JOIN_BYTES = 64 * 1024

/**
 * The same disk with zeros for what `use` does not keep: neither read nor told as data, whatever is
 * there. Takes `source` over. What the disk knows of changes is not passed on: a cluster that
 * became free is not among them, and reads differently now.
 */
export function usedSource(source: BlockSource, use: KnownUse): BlockSource {
  const { name, sizeBytes } = source
  return {
    name, sizeBytes,
    async * extents(range, signal) {
      checkInside(source, range.offset, range.length)
      for await (const extent of mergeExtents(extentsOf(range, use), range)) {
        throwIfAborted(signal)
        yield extent
      }
    },
    async read(offset, length, signal) {
      checkInside(source, offset, length)
      throwIfAborted(signal)
      const bytes = new Uint8Array(length)
      for (const group of groupsOf(extentsOf(between(offset, offset + length), use))) {
        const [first, last] = [group[0], group.at(-1)]
        if (first === undefined || last === undefined) continue
        const read = await source.read(first.offset, endOf(last) - first.offset, signal)
        for (const part of group) {
          bytes.set(read.subarray(part.offset - first.offset, endOf(part) - first.offset),
            part.offset - offset)
        }
      }
      return bytes
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}

/** Ordered, without a gap; neighbours may be of one kind at the end of the clusters. */
function * extentsOf(range: Range, { clusterBytes, kept }: KnownUse): Generator<Extent> {
  const clustersEnd = Math.min(kept.clusters * clusterBytes, endOf(range))
  const first = Math.floor(range.offset / clusterBytes)
  for (const run of kept.runs(first, Math.ceil(clustersEnd / clusterBytes))) {
    const start = Math.max(run.from * clusterBytes, range.offset)
    const end = Math.min(run.end * clusterBytes, endOf(range))
    if (start < end) yield { ...between(start, end), kind: run.isIn ? 'data' : 'zero' }
  }
  const behind = Math.max(range.offset, clustersEnd)
  if (behind < endOf(range)) yield { ...between(behind, endOf(range)), kind: 'data' }
}

/** Data that is read at once. */
function groupsOf(extents: Iterable<Extent>): readonly (readonly Range[])[] {
  const groups: Range[][] = []
  for (const extent of extents) {
    if (extent.kind === 'zero') continue
    const last = groups.at(-1)
    const end = last?.at(-1)
    if (last === undefined || end === undefined || extent.offset - endOf(end) > JOIN_BYTES) {
      groups.push([extent])
    } else last.push(extent)
  }
  return groups
}
