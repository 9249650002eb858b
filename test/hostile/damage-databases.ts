/** Disks with databases of real servers, damaged where the checks look, by seed. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { probeSet } from '../../src/consistency/mod.ts'
import { isZero, normalise, subtract, type BlockSource, type Range } from '../../src/disk/mod.ts'
import { checkOn, type Captured } from '../interop/database-image.ts'
import { damage, SECTOR } from './damage.ts'
import { Dice } from './mutate.ts'
import type { SparseImage } from './sparse-image.ts'

export interface DatabaseSubject {
  readonly image: SparseImage
  readonly captured: Captured
}

/** Far beyond what these disks, each of less than 50 MiB with content, may make a check read. */
const MAX_READ_BYTES = 512 * 2 ** 20

/** Damages copies by each seed up to `seeds`: always an answer, and damage is seen. */
export async function damageAndCheck(
  { image, captured }: DatabaseSubject, seeds: number, t: TestContext): Promise<void> {
  const ranges: Range[] = []
  const intact = await checkOn(watch(image, ranges), captured, t)
  assert.equal(intact.answer, 'confirms', intact.detail)
  const probed: Range[] = []
  await probeSet([{ id: 'vda', source: watch(image, probed) }], t.signal)
  const places = subtract(normalise(ranges), normalise(probed)).flatMap(({ offset, length }) =>
    Array.from({ length: Math.ceil(length / SECTOR) }, (_, n) =>
      ({ offset: offset + n * SECTOR, length: Math.min(SECTOR, length - n * SECTOR) })))
    .filter(({ offset, length }) => !isZero(image.bytes(offset, length)))
  const outcomes = new Map<string, number>()
  for (let seed = 1; seed <= seeds; seed++) {
    const dice = new Dice(seed)
    const copy = image.copy()
    for (let n = dice.below(3); n >= 0; n--) damage(copy, dice.pick(places), dice)
    const { answer, detail } = await checkOn(watch(copy, []), captured, t)
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

/** A read outside is a RangeError, which nothing expects: it ends the test. */
function watch(image: SparseImage, ranges: Range[]): BlockSource {
  let readBytes = 0
  return {
    name: 'damaged', sizeBytes: image.sizeBytes,
    read: async (offset, length) => {
      ranges.push({ offset, length })
      readBytes += length
      assert.ok(readBytes <= MAX_READ_BYTES, `${readBytes} bytes were read`)
      return Uint8Array.from(image.bytes(offset, length))
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
