/** Whole backups in virtual time, with everything going wrong by seed (docs/simulation.md). */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { live } from './life.ts'
import { liveAll, seedsFrom } from './many-lives.ts'
import { EVENTS } from './plan-of-faults.ts'
import { recordsFolder } from './records-folder.ts'
import { REGRESSIONS } from './regressions.ts'
import { Tally } from './tally.ts'

const SEEDS = 1000

test(`nothing stays held, no grade is above the truth, no point is lost: ${SEEDS} seeds`,
  async (t) => {
    using folder = recordsFolder()
    const tally = new Tally()
    const startMs = systemClock.monotonicMs()
    await liveAll(seedsFrom(1, SEEDS), { runDir: folder.path, tally })
    const seconds = (systemClock.monotonicMs() - startMs) / 1000
    t.diagnostic(`${(SEEDS / seconds).toFixed(1)} seeds a second; ${tally.toString()}`)
    for (const what of [
      ...EVENTS, 'application', 'filesystem', 'crash', 'torn', 'killed', 'storage-failed',
      'no-space', 'snapshot-failed', 'snapshot-broken', 'interrupted',
    ]) assert.ok(tally.of(what) >= 5, `${what} hardly occurred: ${tally.toString()}`)
  })

test('a seed lives the same life each time', async () => {
  using folder = recordsFolder()
  const story = async (seed: number): Promise<readonly string[]> => {
    const lines: string[] = []
    const note = (atMs: number, text: string): void => { lines.push(`${atMs} ${text}`) }
    await live(seed, { runDir: folder.path, tally: new Tally(), note })
    return lines
  }
  for (const seed of seedsFrom(1, 20)) assert.deepEqual(await story(seed), await story(seed))
})

for (const { seed, found } of REGRESSIONS) {
  test(`seed ${seed}: ${found}`, async () => {
    using folder = recordsFolder()
    await live(seed, { runDir: folder.path, tally: new Tally() })
  })
}
