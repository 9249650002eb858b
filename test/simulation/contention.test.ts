import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { simulateContention, type Outcome } from './contention.ts'

test('two backups and a prune at once lose nothing, 50 seeds', { timeout: 300_000 }, async () => {
  const all: Outcome[] = []
  for (let seed = 1; seed <= 50; seed++) all.push(await simulateContention(seed))
  const total = (what: keyof Outcome): number => all.reduce((sum, one) => sum + one[what], 0)
  // Each thing that can happen did.
  for (const what of ['backups', 'prunes', 'locked', 'lost', 'failed'] as const) {
    assert.ok(total(what) >= 5, `${what}: ${total(what)}`)
  }
})
