/** Damages a disk where a probe looks, by seed, and holds the probe to its promises. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { isZero } from '../../src/base/zero.ts'
import { probeSet, type VolumeEvidence } from '../../src/consistency/mod.ts'
import { normalise, type Range } from '../../src/disk/mod.ts'
import { Dice, flipBits } from './mutate.ts'
import type { Subject } from './probe-subjects.ts'
import { RESEAL } from './reseal.ts'
import type { SparseImage } from './sparse-image.ts'
import { watchedSource } from './watched-source.ts'

const signal = new AbortController().signal
/** Beyond what any disk may make the probe do, whatever it says. */
const MOST = { reads: 20_000, bytes: 300 * 1024 * 257 + 64 * 1024 * 1024 }
export const SECTOR = 512
const NUMBERS = [0n, 1n, 0xffn, 0x7fffn, 0xffffn, 0x7fff_ffffn, 0xffff_ffffn, 2n ** 33n, 2n ** 53n,
  2n ** 63n, 2n ** 64n - 1n]

/** What the probe said of a disk's volumes, without the numbers in it. */
type Outcome = string

/** The sectors with content that the probe looks at on the disk as it was made; what it says. */
async function probeIntact(
  { image }: Subject): Promise<{ readonly places: readonly Range[]; readonly outcome: Outcome }> {
  const ranges: Range[] = []
  const source = watchedSource(image, ranges, MOST)
  const { volumes } = await probeSet([{ id: 'vda', source }], signal)
  const places = normalise(ranges).flatMap(({ offset, length }) =>
    Array.from({ length: Math.ceil(length / SECTOR) }, (_, n) =>
      ({ offset: offset + n * SECTOR, length: Math.min(SECTOR, length - n * SECTOR) })))
  return {
    places: places.filter(({ offset, length }) => !isZero(image.bytes(offset, length))),
    outcome: outcomeOf(volumes),
  }
}

function outcomeOf(volumes: readonly VolumeEvidence[]): Outcome {
  return volumes.map(({ role, sign, detail }) =>
    `${role} ${sign} (${detail.replace(/\d+/g, 'n').slice(0, 80)})`).join(', ')
}

/** Damages the disk by each seed up to `seeds`, and sees that the damage is seen. */
export async function damageAndProbe(
  subject: Subject, seeds: number, t: TestContext): Promise<void> {
  const { places, outcome } = await probeIntact(subject)
  const outcomes = new Set<Outcome>()
  for (let seed = 1; seed <= seeds; seed++) outcomes.add(await probeDamaged(subject, places, seed))
  t.diagnostic(`${subject.name}: ${outcome}; damaged, ${outcomes.size} outcomes`)
  outcomes.delete(outcome)
  assert.ok(outcomes.size > 0, 'no damage was seen')
}

/** Damages a copy by this seed and probes it; what breaks a promise throws. */
async function probeDamaged(
  { name, image }: Subject, places: readonly Range[], seed: number): Promise<Outcome> {
  const dice = new Dice(seed)
  const isCut = dice.below(16) === 0
  const copy = image.copy(isCut ? dice.below(Math.min(image.sizeBytes, 4 * 2 ** 20))
    : image.sizeBytes)
  for (let n = dice.below(4); n >= 0; n--) damage(copy, dice.pick(places), dice)
  if (dice.below(3) > 0) RESEAL[name]?.(copy)
  const source = watchedSource(copy, [], MOST)
  const { probes, volumes } = await probeSet([{ id: 'vda', source }], signal)
  assert.equal(probes[0]?.state, 'probed')
  assert.doesNotMatch(
    volumes.map(({ where, detail }) => where + detail).join(''), /\p{Cc}|\u202e/u, `seed ${seed}`)
  return outcomeOf(volumes)
}

export function damage(image: SparseImage, place: Range, dice: Dice): void {
  const end = Math.min(image.sizeBytes, place.offset + place.length)
  if (end <= place.offset) return
  const at = place.offset + dice.below(end - place.offset)
  const length = Math.min(end - at, 8)
  switch (dice.below(4)) {
    case 0: return image.put(at, dice.bytes(length))
    case 1: return image.put(at, flipBits(image.bytes(at, length), dice))
    case 2: {
      const number = Buffer.alloc(8)
      number.writeBigUInt64LE(dice.pick(NUMBERS))
      if (dice.below(2) === 0) number.reverse()
      const width = dice.pick([1, 2, 4, 8])
      const aligned = at - (at % width)
      return image.put(aligned, number.subarray(0, Math.min(width, end - aligned)))
    }
    default: {
      const many = Math.min(end - at, 64)
      const from = place.offset + dice.below(end - place.offset - many + 1)
      return image.put(at, image.bytes(from, many))
    }
  }
}
