/**
 * The algebra of `extents.ts` over streams that are too long to hold: one item of each stream is
 * held at a time. What is streamed must be ordered and may not overlap; a stream that breaks this
 * comes from a peer that lies or a defect, and is a `disk-unreadable` Fault, never a wrong result.
 */

import { Fault } from '../base/fault.ts'
import { alignedOutward, between, endOf, type Extent, type Range } from './extents.ts'

type Stream<T> = AsyncIterable<T> | Iterable<T>

/** The same bytes as range set: ranges that touch are joined, empty ones left out. */
export async function* mergeRanges(ranges: Stream<Range>): AsyncGenerator<Range, void, undefined> {
  let open: Range | undefined
  for await (const range of ordered(ranges)) {
    if (open !== undefined && endOf(open) === range.offset) {
      open = between(open.offset, endOf(range))
    } else {
      if (open !== undefined) yield open
      open = range
    }
  }
  if (open !== undefined) yield open
}

/**
 * The same extents with neighbours of one kind joined; checks that they cover `range` exactly,
 * as `BlockSource.extents` promises.
 */
export async function* mergeExtents(
  extents: Stream<Extent>, range: Range): AsyncGenerator<Extent, void, undefined> {
  let open: Extent | undefined
  let at = range.offset
  for await (const extent of ordered(extents)) {
    if (extent.offset !== at) throw disorder(`a gap from ${at} to ${extent.offset}`)
    at = endOf(extent)
    if (open?.kind === extent.kind) open = { ...between(open.offset, at), kind: open.kind }
    else {
      if (open !== undefined) yield open
      open = extent
    }
  }
  if (at !== endOf(range)) throw disorder(`an end at ${at} instead of ${endOf(range)}`)
  if (open !== undefined) yield open
}

/** The ranges of `extents` that must be read, as range set. */
export function dataRanges(extents: Stream<Extent>): AsyncGenerator<Range, void, undefined> {
  return mergeRanges(onlyData(extents))
}

async function* onlyData(extents: Stream<Extent>): AsyncGenerator<Range, void, undefined> {
  for await (const { kind, offset, length } of extents) {
    if (kind === 'data') yield { offset, length }
  }
}

/** Every chunk the ranges touch, whole, up to `sizeBytes`, as range set. */
export async function* alignRangesOutward(
  ranges: Stream<Range>, chunkBytes: number, sizeBytes: number,
): AsyncGenerator<Range, void, undefined> {
  let open: Range | undefined
  for await (const range of ordered(ranges)) {
    const whole = alignedOutward(range, chunkBytes, sizeBytes)
    if (open !== undefined && whole.offset <= endOf(open)) {
      open = between(open.offset, endOf(whole))
    } else {
      if (open !== undefined) yield open
      open = whole
    }
  }
  if (open !== undefined) yield open
}

/** Passes non-empty ranges on and refuses a stream that is out of order or overlaps. */
async function* ordered<T extends Range>(ranges: Stream<T>): AsyncGenerator<T, void, undefined> {
  let end = 0
  for await (const range of ranges) {
    const isSafe = Number.isSafeInteger(range.offset) && Number.isSafeInteger(endOf(range))
    if (!isSafe || range.length < 0) {
      throw disorder(`${range.length} bytes at ${range.offset}`)
    }
    if (range.offset < end) throw disorder(`one at ${range.offset} after one that ends at ${end}`)
    end = endOf(range)
    if (range.length > 0) yield range
  }
}

function disorder(what: string): Fault {
  return new Fault('disk-unreadable', `the extents of a disk contradict each other: ${what}`)
}
