/** Damaged event logs: what is left of them is read, or they are a fault; never more. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import { readEventLog } from '../../src/eventlog/mod.ts'
import { BACKUP_STORY, eventLogBytes, logBytes } from '../../src/eventlog/testing/mod.ts'
import { Dice, flipBits, grownBytes } from './mutate.ts'

const LOGS = 800

test(`${LOGS} damaged event logs are read as far as they go`, async (t) => {
  const intact = eventLogBytes(Array.from({ length: 12 }, () => BACKUP_STORY).flat())
  const outcomes = { whole: 0, 'records damaged': 0, 'records lost': 0, refused: 0 }
  let most = 0
  const records = 12 * BACKUP_STORY.length
  const grown = await grownBytes(async () => {
    for (let seed = 1; seed <= LOGS; seed++) {
      const dice = new Dice(seed)
      const bytes = mutate(intact, dice)
      const startedMs = performance.now()
      outcomes[await outcomeOf(bytes, records, t.signal)]++
      most = Math.max(most, performance.now() - startedMs)
    }
  })
  t.diagnostic(`${JSON.stringify(outcomes)}, at most ${most.toFixed(0)} ms, ${grown} bytes more`)
  for (const [name, count] of Object.entries(outcomes)) assert.ok(count > 0, `none was ${name}`)
  assert.ok(grown < 256 * 2 ** 20)
})

/** Bits, whole fields, and lengths that are too large, in the header and in both chunks. */
function mutate(intact: Buffer, dice: Dice): Buffer {
  const bytes = flipBits(intact, dice, dice.below(8) === 0 ? 0 : 4096)
  const filled = 4096 + 512 + 20_000
  for (let n = dice.below(4); n > 0; n--) {
    const at = 4096 + 512 + dice.below(filled - 4608)
    switch (dice.below(3)) {
      case 0: bytes.writeUInt32LE(dice.pick([0, 1, 65_535, 0x7fff_ffff, 0xffff_ffff]), at); break
      case 1: bytes.writeUInt16LE(dice.pick([0, 0xffff, 0x2121, 0x0c0c]), at); break
      default: bytes.copyWithin(at, 4608 + dice.below(10_000), 4608 + 10_000 + dice.below(1000))
    }
  }
  return dice.below(20) === 0 ? bytes.subarray(0, dice.below(bytes.length)) : bytes
}

async function outcomeOf(
  bytes: Buffer, intact: number, signal: AbortSignal,
): Promise<'whole' | 'records damaged' | 'records lost' | 'refused'> {
  try {
    const { records, damaged } = await readEventLog(logBytes(bytes), {}, signal)
    if (records < intact) return 'records lost'
    return damaged > 0 ? 'records damaged' : 'whole'
  } catch (error) {
    if (!isFault(error, 'disk-unreadable')) throw error
    assert.doesNotMatch(error.message, /\p{Cc}|\u202e/u)
    return 'refused'
  }
}
