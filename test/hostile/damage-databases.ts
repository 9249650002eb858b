/** Disks with databases of real servers, damaged where the checks look, by seed. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { isZero } from '../../src/base/zero.ts'
import { probeSet } from '../../src/consistency/mod.ts'
import { normalise, subtract, type Range } from '../../src/disk/mod.ts'
import { checkOn, type Captured } from '../interop/database-image.ts'
import { damage, SECTOR } from './damage.ts'
import { Dice } from './mutate.ts'
import type { SparseImage } from './sparse-image.ts'
import { watchedSource } from './watched-source.ts'

export interface DatabaseSubject {
  readonly image: SparseImage
  readonly captured: Captured
}

/** Far beyond what these disks, each of less than 50 MiB with content, may make a check read. */
const MOST = { bytes: 512 * 2 ** 20 }

/** Damages copies by each seed up to `seeds`: always an answer, and damage is seen. */
export async function damageAndCheck(
  { image, captured }: DatabaseSubject, seeds: number, t: TestContext): Promise<void> {
  const ranges: Range[] = []
  const intact = await checkOn(watchedSource(image, ranges, MOST), captured, t)
  assert.equal(intact.answer, 'confirms', intact.detail)
  const probed: Range[] = []
  await probeSet([{ id: 'vda', source: watchedSource(image, probed, MOST) }], t.signal)
  const places = subtract(normalise(ranges), normalise(probed)).flatMap(({ offset, length }) =>
    Array.from({ length: Math.ceil(length / SECTOR) }, (_, n) =>
      ({ offset: offset + n * SECTOR, length: Math.min(SECTOR, length - n * SECTOR) })))
    .filter(({ offset, length }) => !isZero(image.bytes(offset, length)))
  const outcomes = new Map<string, number>()
  for (let seed = 1; seed <= seeds; seed++) {
    const dice = new Dice(seed)
    const copy = image.copy()
    for (let n = dice.below(3); n >= 0; n--) damage(copy, dice.pick(places), dice)
    const { answer, detail } = await checkOn(watchedSource(copy, [], MOST), captured, t)
    assert.doesNotMatch(detail, /\p{Cc}|\u202e/u, `seed ${seed}`)
    const outcome = `${answer}: ${detail.replace(/[\dA-F]+(\/[\dA-F]+)?/g, 'n').slice(0, 50)}`
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  t.diagnostic(`${places.length} sectors; ${[...outcomes].toSorted((a, b) => b[1] - a[1])
    .slice(0, 12).map(([outcome, count]) => `${count} × ${outcome}`).join('; ')}`)
  const isSeen = (answer: string): boolean =>
    [...outcomes.keys()].some((outcome) => outcome.startsWith(answer))
  assert.ok(isSeen('contradicts'), 'damage was not seen')
}
