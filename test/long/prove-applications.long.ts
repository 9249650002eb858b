/**
 * Twenty captures of four databases under load, held and not, and what their files say of the
 * grade. STILLPOINT_ROUNDS says how many instead.
 */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import { isFault } from '../../src/base/fault.ts'
import { backupAll, moreOfEach } from '../system/full-guest.ts'
import { proveApplications, verdictOn } from '../system/prove-applications.ts'
import { backup, newRepository, pointsOf, readyGuest } from '../system/rig.ts'

/** Of one round, on a busy host that emulates its guests; there is none on all of them. */
const LIMITS = { timeout: 300_000 }
const ROUNDS = Number(process.env['STILLPOINT_ROUNDS'] ?? 20)

test('no capture of a guest with four databases is judged wrongly', async (t) => {
  const guest = await readyGuest(t, { kind: 'full' })
  /** Undefined: the host was so busy that QEMU gave the instant up. */
  const capture = async (
    t: TestContext, repositoryPath: string): Promise<BackupSummary | undefined> => {
    try {
      return await backupAll(t, {
        guest, repositoryPath, settings: { require: 'crash', onWeaker: undefined } })
    } catch (error) {
      if (!isFault(error, 'snapshot-broken')) throw error
      t.diagnostic(error.message)
      return undefined
    }
  }
  const judge = async (t: TestContext, round: number): Promise<void> => {
    const repositoryPath = await newRepository(t)
    await moreOfEach(guest, 5, t)
    await backup(t, {
      guest, repositoryPath, agent: false, settings: { require: 'crash', onWeaker: undefined } })
    await moreOfEach(guest, 5 + 7 * (round % 4), t)
    for (;;) {
      const summary = await capture(t, repositoryPath)
      if (summary === undefined) continue
      const { result, pointId } = summary
      if (result.grade === 'application') {
        return proveApplications(t, repositoryPath, pointId)
      }
      // On a busy host a writer may be late. What was said of it then is true as well.
      t.diagnostic(`${result.grade}: ${result.reasons.map(({ sentence }) => sentence).join(' ')}`)
      const point = (await pointsOf(repositoryPath, t))
        .find((it) => it.state === 'readable' && it.pointId === pointId)
      assert.ok(point?.state === 'readable')
      const { verdict, checks } = await verdictOn(t, repositoryPath, point)
      assert.notEqual(verdict, 'refuted', JSON.stringify(checks))
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    await t.test(`round ${round + 1}`, LIMITS, (t) => judge(t, round))
  }
})
