import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { chooseAccelerator } from './accelerator.ts'

async function cacheDirOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sp-kvm-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** A device node that can be opened: no proof of anything. */
const DEVICE = '/dev/null'
const works = (): Promise<void> => Promise.resolve()
const breaks = (): Promise<void> => Promise.reject(new Error('failed to set MSR'))
const neverAsked = (): Promise<void> => assert.fail('tried although it is known')

for (const [probe, answer] of [[works, 'kvm'], [breaks, 'tcg']] as const) {
  test(`a guest that ${probe.name} under KVM means ${answer}, and is tried once`, async (t) => {
    const cacheDir = await cacheDirOf(t)
    const choose = (it: () => Promise<void>): Promise<string> =>
      chooseAccelerator(cacheDir, it, systemClock, t.signal, DEVICE)
    assert.equal(await choose(probe), answer)
    assert.equal(await choose(neverAsked), answer)
  })
}

test('a guest that hangs under KVM is given up', async (t) => {
  const clock = new ManualClock()
  const choice = chooseAccelerator(await cacheDirOf(t), (signal) => {
    queueMicrotask(() => clock.advance(10_000))
    return clock.sleep(1e9, signal)
  }, clock, t.signal, DEVICE)
  assert.equal(await choice, 'tcg')
})

test('without the device nothing is tried', async (t) => {
  const missing = '/dev/nonesuch'
  assert.equal(await chooseAccelerator(
    await cacheDirOf(t), neverAsked, systemClock, t.signal, missing), 'tcg')
})
