/** Decides which packs a prune keeps, rewrites and removes. */

import type { BlobKind } from '../format/blob.ts'
import type { FileId } from '../format/id.ts'
import { TARGET_PACK_BYTES } from '../format/pack.ts'

/** What of a stored pack is needed. Bytes are those of sealed blobs. */
export interface PackUse {
  readonly id: FileId
  readonly kind: BlobKind | 'mixed'
  /** The whole file. */
  readonly sizeBytes: number
  readonly usedBlobs: number
  readonly usedBytes: number
  /** Needed by no snapshot, or kept in another pack. */
  readonly unusedBlobs: number
  readonly unusedBytes: number
}

/**
 * How much of what is kept may be unused afterwards: a share (0 to below 1) of the blobs' bytes,
 * a number of bytes, or whatever there is. Less takes more copying.
 */
export type MaxUnused =
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'unlimited' }

/** restic's default. */
export const DEFAULT_MAX_UNUSED: MaxUnused = { kind: 'share', share: 0.05 }

/** `repack`: its needed blobs are copied into new packs, then it is removed. */
export type PackFate = 'keep' | 'repack' | 'remove'

/** Packs below it are worth merging: each costs a request, and memory of every client. */
export const SMALL_PACK_BYTES = TARGET_PACK_BYTES / 4

/** Fewer are left alone, as by restic: every backup leaves one or two. */
export const MIN_SMALL_PACKS = 10

/** The fate of each of `packs`, in their order. */
export function choosePacks(packs: readonly PackUse[], maxUnused: MaxUnused): readonly PackFate[] {
  const fates = packs.map((pack): PackFate =>
    pack.usedBlobs === 0 ? 'remove' : pack.kind === 'mixed' ? 'repack' : 'keep')
  const left = [...packs.entries()].filter(([at]) => fates[at] === 'keep')
  let unusedBytes = left.reduce((sum, [, pack]) => sum + pack.unusedBytes, 0)
  const allowedBytes = allowedUnused(packs, maxUnused)
  const wasteful = left.filter(([, pack]) => pack.unusedBlobs > 0).sort(byGain)
  for (const [at, pack] of wasteful) {
    if (unusedBytes <= allowedBytes) break
    fates[at] = 'repack'
    unusedBytes -= pack.unusedBytes
  }
  if (maxUnused.kind !== 'unlimited') mergeSmall(left, fates)
  return fates
}

function allowedUnused(packs: readonly PackUse[], maxUnused: MaxUnused): number {
  switch (maxUnused.kind) {
    case 'unlimited': return Infinity
    case 'bytes': return maxUnused.bytes
    case 'share': {
      const usedBytes = packs.reduce((sum, pack) => sum + pack.usedBytes, 0)
      return usedBytes * maxUnused.share / (1 - maxUnused.share)
    }
    default: return maxUnused satisfies never
  }
}

type Numbered = readonly [at: number, pack: PackUse]

/** Trees first, which every client keeps a copy of; then where the least copying frees most. */
function byGain([, a]: Numbered, [, b]: Numbered): number {
  if (a.kind !== b.kind) return a.kind === 'tree' ? -1 : 1
  return unusedShare(b) - unusedShare(a)
}

function unusedShare({ usedBytes, unusedBytes }: PackUse): number {
  return unusedBytes / Math.max(1, usedBytes + unusedBytes)
}

function mergeSmall(left: readonly Numbered[], fates: PackFate[]): void {
  const small = left.filter(([at, pack]) =>
    fates[at] === 'keep' && pack.sizeBytes < SMALL_PACK_BYTES)
  // Of a kind of which there is one, nothing can be merged.
  const count = (kind: PackUse['kind']): number =>
    small.filter(([, pack]) => pack.kind === kind).length
  const several = { data: count('data') > 1, tree: count('tree') > 1, mixed: false }
  const mergeable = small.filter(([, { kind }]) => several[kind])
  if (mergeable.length >= MIN_SMALL_PACKS) for (const [at] of mergeable) fates[at] = 'repack'
}
