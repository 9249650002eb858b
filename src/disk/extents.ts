/**
 * Extents: runs of bytes of one kind, and the algebra of sets of bytes.
 *
 * A *range set* is an ordered list of non-empty ranges that neither overlap nor touch: each set of
 * bytes has exactly one such list. `normalise` makes one; every other function here wants and
 * returns range sets, and asserts nothing about lists that are none.
 */

/** A half-open run of bytes, `offset` to `offset + length`. */
export interface Range {
  readonly offset: number
  readonly length: number
}

/** `zero`: reads as zeros without being read; `data`: unknown until read. */
export type ExtentKind = 'data' | 'zero'

export interface Extent extends Range {
  readonly kind: ExtentKind
}

/** The range set of the bytes in any of `ranges`, which may overlap and be in any order. */
export function normalise(ranges: Iterable<Range>): readonly Range[] {
  const sorted = [...ranges]
    .filter((range) => range.length > 0)
    .toSorted((a, b) => a.offset - b.offset)
  const merged: Range[] = []
  for (const range of sorted) {
    const last = merged.at(-1)
    if (last !== undefined && range.offset <= endOf(last)) {
      merged[merged.length - 1] = between(last.offset, Math.max(endOf(last), endOf(range)))
    } else merged.push(between(range.offset, endOf(range)))
  }
  return merged
}

/** The bytes in both `a` and `b`. */
export function intersect(a: readonly Range[], b: readonly Range[]): readonly Range[] {
  const common: Range[] = []
  for (let i = 0, j = 0; ;) {
    const left = a[i]
    const right = b[j]
    if (left === undefined || right === undefined) return common
    const start = Math.max(left.offset, right.offset)
    const end = Math.min(endOf(left), endOf(right))
    if (start < end) common.push(between(start, end))
    if (endOf(left) < endOf(right)) i++
    else j++
  }
}

/** The bytes of `within` that are not in `ranges`. */
export function complement(ranges: readonly Range[], within: Range): readonly Range[] {
  const gaps: Range[] = []
  let at = within.offset
  for (const range of clip(ranges, within)) {
    if (range.offset > at) gaps.push(between(at, range.offset))
    at = endOf(range)
  }
  if (at < endOf(within)) gaps.push(between(at, endOf(within)))
  return gaps
}

/** The bytes in `a` that are not in `b`. */
export function subtract(a: readonly Range[], b: readonly Range[]): readonly Range[] {
  const last = a.at(-1)
  return last === undefined ? [] : intersect(a, complement(b, between(0, endOf(last))))
}

/** The bytes of `ranges` inside `within`. */
export function clip(ranges: readonly Range[], within: Range): readonly Range[] {
  return within.length === 0 ? [] : intersect(ranges, [within])
}

/** How many bytes `ranges` hold. */
export function totalLength(ranges: Iterable<Range>): number {
  let total = 0
  for (const range of ranges) total += range.length
  return total
}

/** The first byte after `range`. */
export function endOf(range: Range): number {
  return range.offset + range.length
}

/** The range from `start` to `end`. */
export function between(start: number, end: number): Range {
  return { offset: start, length: end - start }
}

/** One range widened to whole chunks, as `alignOutward` does. */
export function alignedOutward(range: Range, chunkBytes: number, sizeBytes: number): Range {
  const start = range.offset - (range.offset % chunkBytes)
  const past = endOf(range) % chunkBytes
  const end = past === 0 ? endOf(range) : endOf(range) + chunkBytes - past
  return between(start, Math.min(end, Math.max(sizeBytes, endOf(range))))
}
