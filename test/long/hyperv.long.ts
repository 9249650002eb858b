/** More of test/system/hyperv.test.ts. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HypervRound, hypervSkip as skip, killedAt } from '../system/hyperv-round.ts'

test('killed before anything was read, its checkpoint goes at the next run', { skip },
  (t) => killedAt('job', 1, t))

test('a weaker grade than is required is not stored, and level 2 is not asked for', { skip },
  async (t) => {
    const round = await HypervRound.start(t)
    const state = await round.state()
    state.level1Fails = { errorCode: 32_772, error: 'the guest did not hold still' }
    await round.write(state)
    const refused =
      await round.run('backup', 'win1', '--require', 'filesystem', '--on-weaker', 'fail')
    assert.notEqual(refused.code, 0)
    assert.match(JSON.stringify(refused), /the guest did not hold still/)
    assert.ok(!(await round.state()).journal.some((line) => line.includes('"level":2')))
    const kept = await round.run('backup', 'win1', '--require', 'filesystem')
    assert.deepEqual([kept.code, kept.summary['grade']], [3, 'crash'], JSON.stringify(kept))
  })
