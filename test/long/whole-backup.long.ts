import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { liveAll, seedsFrom } from '../simulation/whole/many-lives.ts'
import { recordsFolder } from '../simulation/whole/records-folder.ts'
import { Tally } from '../simulation/whole/tally.ts'

const SEEDS = 10_000

test(`whole backups in virtual time, ${SEEDS} seeds`, async (t) => {
  using folder = recordsFolder()
  const startMs = systemClock.monotonicMs()
  // The first thousand are those of every run.
  await liveAll(seedsFrom(1001, SEEDS), { runDir: folder.path, tally: new Tally() })
  const seconds = (systemClock.monotonicMs() - startMs) / 1000
  t.diagnostic(`${(SEEDS / seconds).toFixed(1)} seeds a second`)
})
