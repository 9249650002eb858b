import { test } from 'node:test'
import { simulateContention } from '../simulation/contention.ts'

const SEEDS = 1000

test(`two backups and a prune at once lose nothing, ${SEEDS} seeds`, async () => {
  // The first fifty are those of every run.
  for (let seed = 51; seed <= 50 + SEEDS; seed++) await simulateContention(seed)
})
