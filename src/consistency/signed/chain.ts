/**
 * The chain of one machine's evidence in one repository: each names the digest of the one before
 * it, so that what was removed or exchanged leaves a gap. Pure.
 */

import type { Fingerprint } from './signing-key.ts'
import { MAX_SEQUENCE, type ChainPlace, type Digest, type PointReference } from './statement.ts'

/**
 * How a link is known: its evidence is there; its tombstone is; or only a completion record names
 * it, so that it was there once.
 */
export type LinkStanding = 'present' | 'forgotten' | 'witnessed'

export interface ChainLink extends PointReference, ChainPlace {
  readonly standing: LinkStanding
  /** Of its evidence. */
  readonly signer: Fingerprint
}

/** Numbers from one to another, both included. */
export interface Gap {
  readonly from: number
  readonly to: number
}

export interface ChainReport {
  readonly present: number
  readonly forgotten: number
  /** Evidence that is neither there nor forgotten by us, newest first. */
  readonly missing: readonly Gap[]
  /** Numbers that two evidences claim, or whose evidence is not the one that the next one names. */
  readonly forked: readonly number[]
}

/** Whether the chain is whole: nothing of it lacks without a word. */
export function isWhole({ missing, forked }: ChainReport): boolean {
  return missing.length === 0 && forked.length === 0
}

/** Looks at the chain from `start` back to its first link; what came after `start` is left out. */
export function followChain(links: readonly ChainLink[], start: ChainLink): ChainReport {
  const numbered = byNumber(links.filter(({ sequence }) => sequence <= start.sequence), start)
  const counts = { present: 0, forgotten: 0 }
  const missing: Gap[] = []
  const forked: number[] = []
  /** What the link above names; undefined where that is not known. */
  let expected: Digest | undefined = start.digest
  let above = start.sequence + 1
  for (const [sequence, all] of numbered) {
    if (sequence < above - 1) {
      missing.push({ from: sequence + 1, to: above - 1 })
      expected = undefined
    }
    above = sequence
    const link: ChainLink | undefined =
      expected === undefined ? all[0] : all.find((it) => it.digest === expected)
    if (all.length > 1 || link === undefined) forked.push(sequence)
    if (link === undefined || link.standing === 'witnessed') {
      missing.push({ from: sequence, to: sequence })
    } else counts[link.standing]++
    // A witness tells where its evidence stood too: what was before it can still be followed.
    expected = link?.previous ?? undefined
  }
  if (above > 1) missing.push({ from: 1, to: above - 1 })
  return { ...counts, missing: joined(missing), forked }
}

/** Links by number, highest first; of each evidence the best standing alone, present ones first. */
function byNumber(
  links: readonly ChainLink[], start: ChainLink): readonly (readonly [number, ChainLink[]])[] {
  const best = new Map<Digest, ChainLink>()
  for (const link of [start, ...links]) {
    const known = best.get(link.digest)
    if (known === undefined || rank(link) < rank(known)) best.set(link.digest, link)
  }
  const numbered = new Map<number, ChainLink[]>()
  for (const link of best.values()) {
    numbered.set(link.sequence, [...numbered.get(link.sequence) ?? [], link])
  }
  return [...numbered].toSorted(([a], [b]) => b - a)
    .map(([sequence, all]) => [sequence, all.toSorted((a, b) => rank(a) - rank(b))])
}

function rank({ standing }: ChainLink): number {
  return ['present', 'forgotten', 'witnessed'].indexOf(standing)
}

/** Gaps that touch, as one. They come highest first. */
function joined(gaps: readonly Gap[]): readonly Gap[] {
  return gaps.reduce<readonly Gap[]>((all, gap) => {
    const last = all.at(-1)
    return last === undefined || last.from !== gap.to + 1 ? [...all, gap]
      : [...all.slice(0, -1), { from: gap.from, to: last.to }]
  }, [])
}

/** The place after the highest link that is there or known to have been. */
export function nextPlace(links: readonly ChainLink[]): ChainPlace {
  const last = links.filter(({ sequence }) => sequence < MAX_SEQUENCE)
    .toSorted((a, b) => a.sequence - b.sequence || rank(b) - rank(a)).at(-1)
  return last === undefined ? { sequence: 1, previous: null }
    : { sequence: last.sequence + 1, previous: last.digest }
}
