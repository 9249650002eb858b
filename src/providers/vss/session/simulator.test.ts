import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { seededRandom } from '../../../base/random.ts'
import {
  ImpatientClock, sampleHost, sampleRequest, SimulatedVss, vssSessionContract,
  vssTransportContract, type OpenVssBench,
} from '../../testing/mod.ts'
import { VssSession } from './session.ts'

const open: OpenVssBench = (scenario) => {
  const transport = new SimulatedVss(scenario, seededRandom(1))
  return Promise.resolve({
    transport, journal: () => Promise.resolve(transport.journal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
}

vssTransportContract('the simulator', open)
vssSessionContract('the simulator', open)

/** The methods of one backup, in the order in which a session calls them. */
async function stepsOfOneBackup(): Promise<readonly string[]> {
  const steps: string[] = []
  const transport = new SimulatedVss(sampleHost(), seededRandom(1))
  transport.onStep = (step) => { steps.push(step) }
  const signal = new AbortController().signal
  await using session = await VssSession.make(
    sampleRequest(), { transport, clock: systemClock, log: silentLog }, signal)
  await session.complete(signal)
  return steps
}

test('interrupted at any step, a session leaves no snapshot and sends Abort', async () => {
  const steps = await stepsOfOneBackup()
  assert.ok(steps.length > 15)
  for (const at of steps.keys()) {
    const transport = new SimulatedVss(sampleHost(), seededRandom(1))
    const controller = new AbortController()
    let count = 0
    transport.onStep = () => {
      if (count++ === at) controller.abort(new Error('interrupted here'))
    }
    await assert.rejects(async () => {
      await using session = await VssSession.make(sampleRequest(),
        { transport, clock: systemClock, log: silentLog }, controller.signal)
      await session.complete(controller.signal)
    }, /interrupted here/, `${at} ${steps[at]}`)
    const { journal } = transport
    const prepared = steps.indexOf('PrepareForBackup')
    const isComplete = journal.some((line) => line.startsWith('BackupComplete '))
    assert.deepEqual(transport.snapshotsLeft, [])
    assert.equal(journal.filter((line) => line === 'Release').length, 1, `${at} ${steps[at]}`)
    assert.equal(journal.includes('AbortBackup'), at >= prepared && !isComplete, `${steps[at]}`)
    assert.equal(isComplete, at > steps.indexOf('BackupComplete'))
  }
})

test('a step that hangs is ended by its limit, with Abort, and is not tried again', async () => {
  const transport = new SimulatedVss(sampleHost({ hangs: ['DoSnapshotSet'] }), seededRandom(1))
  const clock = new ImpatientClock()
  clock.after = (ms, fn) => systemClock.after(Math.min(ms, 20), fn)
  await assert.rejects(
    VssSession.make(sampleRequest(), { transport, clock, log: silentLog },
      new AbortController().signal), { code: 'timed-out' })
  assert.deepEqual(transport.journal.filter((line) => /^(Create|AbortBackup|Release)$/.test(line)),
    ['Create', 'AbortBackup', 'Release'])
})
