/** Captures of a guest under load, held and not held, and what their own disks say of them. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import type { RestorePoint } from '../../src/catalog/mod.ts'
import type { Verdict } from '../../src/consistency/mod.ts'
import { provePoint } from '../../src/recovery/mod.ts'
import { backup, newRepository, pointsOf, readyGuest, withRepository } from './rig.ts'

/**
 * `rounds` captures of each sort. One that was held is proven. One that was not proves nothing,
 * and is refuted as soon as it claims what one that was held may claim.
 */
export async function proveRounds(t: TestContext, rounds: number): Promise<void> {
  const guest = await readyGuest(t)
  const repositoryPath = await newRepository(t)
  for (let round = 0; round < rounds; round++) {
    for (const agent of [true, false]) {
      const { result } = await backup(t, { guest, repositoryPath, agent })
      assert.equal(result.grade, agent ? 'filesystem' : 'crash')
    }
  }
  const points = (await pointsOf(repositoryPath, t)).filter((it) => it.state === 'readable')
  assert.equal(points.length, 2 * rounds)
  const held = points.filter(({ result }) => result.grade === 'filesystem')
  const [example] = held
  assert.ok(example !== undefined)
  const times: number[] = []
  for (const point of points) {
    const isHeld = held.includes(point)
    const startMs = clock.monotonicMs()
    const verdict = await verdictOn(t, repositoryPath, point)
    times.push(clock.monotonicMs() - startMs)
    assert.equal(verdict.verdict, isHeld ? 'proven' : 'not-proven', JSON.stringify(verdict))
    if (isHeld) continue
    const { evidence, result } = example
    const forged = await verdictOn(t, repositoryPath, { ...point, evidence, result })
    assert.deepEqual([forged.verdict, forged.effective], ['refuted', 'crash'])
    assert.ok(forged.checks.some(({ answer, detail }) =>
      answer === 'contradicts' && /needs_recovery is set/.test(detail)), JSON.stringify(forged))
  }
  t.diagnostic(`${points.length} points, each read in ${
    Math.round(Math.max(...times))} ms at most, opening the repository included`)
}

function verdictOn(
  t: TestContext, repositoryPath: string, point: RestorePoint): Promise<Verdict> {
  return withRepository(repositoryPath, t, async (repository) => {
    await using lock = await repository.lock('shared', t.signal)
    await repository.loadIndex(lock.lost)
    const asked = { point, image: true, logs: false, next: undefined }
    return (await provePoint(repository, asked, clock, t.signal)).verdict
  })
}
