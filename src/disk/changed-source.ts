/** A source together with what a platform says has changed of it. */

import type { BlockSource } from './block-source.ts'
import { clip, type Range } from './extents.ts'

/**
 * The source, which then knows what has changed since its base, beside what it knows of its zeros;
 * it is disposed with this one.
 */
export function withChanges(
  source: BlockSource, changed: readonly Range[] | undefined): BlockSource {
  if (changed === undefined) return source
  const { name, sizeBytes } = source
  const extents = source.extents?.bind(source)
  return {
    name, sizeBytes,
    read: (...args) => source.read(...args),
    ...extents === undefined ? {} : { extents },
    changes: async function* (range) { yield* clip(changed, range) },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}
