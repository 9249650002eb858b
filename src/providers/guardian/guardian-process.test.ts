/** Real guardian processes, and requestors that are really killed. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import {
  FakeGuestAgent, FakeQmpServer, StubProcess, temporaryFolder, type TemporaryFolder,
} from '../testing/mod.ts'
import { GuardedFreezer } from './freezer.ts'
import { Guard } from './guard.ts'
import { thawLeftovers } from './leftovers.ts'
import type { HoldSockets } from './record.ts'

const LIMITS = { freezeMs: 20_000, holdMs: 20_000, thawMs: 10_000 }
/** From the later of the kill and the agent's answer to the thaw's being issued, at most. */
const PROMISED_MS = 2_000
const signal = new AbortController().signal

interface Scene extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly agent: FakeGuestAgent
  readonly qmp: FakeQmpServer
  readonly sockets: HoldSockets
  readonly recordFile: string
}

async function scene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const agent = stack.use(await FakeGuestAgent.start(join(folder.path, 'qga')))
  const qmp = stack.use(await FakeQmpServer.start(join(folder.path, 'qmp')))
  const owned = stack.move()
  return {
    folder, agent, qmp, recordFile: join(folder.path, 'a.hold.json'),
    sockets: { agent: agent.path, qmp: qmp.path, guardianQmp: undefined },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const recordIsGone = async (s: Scene): Promise<void> => {
  while (existsSync(s.recordFile)) await systemClock.sleep(5, signal)
}

test('a requestor killed while the guest is frozen leaves it thawed in time', async () => {
  await using s = await scene()
  const { sockets, recordFile } = s
  using requestor = new StubProcess('stub-requestor', { sockets, recordFile, limits: LIMITS })
  assert.equal(await requestor.line('held'), '3')
  await requestor.kill()
  const killedMs = systemClock.monotonicMs()
  await s.agent.until(() => s.agent.journal.includes('thaw 3'))
  assert.ok(systemClock.monotonicMs() - killedMs < PROMISED_MS)
  await recordIsGone(s)
})

test('a requestor killed during a freeze: thawed right after the agent answers it', async () => {
  await using s = await scene()
  const gate = Promise.withResolvers<void>()
  s.agent.behaviour.beforeFreeze = () => gate.promise
  const { sockets, recordFile } = s
  using requestor = new StubProcess('stub-requestor', { sockets, recordFile, limits: LIMITS })
  await s.agent.until(() => s.agent.journal.includes('freeze issued'))
  await requestor.kill()
  assert.ok(existsSync(recordFile))
  await systemClock.sleep(50, signal) // the hook goes on for a while after the kill
  gate.resolve()
  const answeredMs = systemClock.monotonicMs()
  await s.agent.until(() => s.agent.journal.includes('thaw 3'))
  assert.ok(systemClock.monotonicMs() - answeredMs < PROMISED_MS)
  await recordIsGone(s)
})

test('a requestor killed while the machine is stopped: it runs again and is thawed', async () => {
  await using s = await scene()
  const { sockets, recordFile } = s
  using requestor = new StubProcess(
    'stub-requestor', { sockets, recordFile, limits: LIMITS, stop: true })
  await requestor.line('stopped')
  assert.equal(s.qmp.status, 'paused')
  await requestor.kill()
  const killedMs = systemClock.monotonicMs()
  await s.qmp.until(() => s.qmp.status === 'running')
  await s.agent.until(() => s.agent.journal.includes('thaw 3'))
  assert.ok(systemClock.monotonicMs() - killedMs < PROMISED_MS)
  await recordIsGone(s)
})

test('a guardian that is told to end thaws first, and the hold is void', async () => {
  await using s = await scene()
  await using guard = new Guard({ ...s, nodePrefix: '', clock: systemClock, settings: {} })
  await guard.open(5_000)
  const attempt = freezerOn(guard).beginFreeze(LIMITS)
  assert.deepEqual(await attempt.held, { count: 3 })
  process.kill(guard.pid, 'SIGTERM')
  await s.agent.until(() => s.agent.journal.includes('thaw 3'))
  const outcome = await attempt.thaw()
  assert.ok(outcome.state === 'thawed' && outcome.early)
})

test('a guardian that is killed is replaced at once, and the hold is void', async () => {
  await using s = await scene()
  await using guard = new Guard({ ...s, nodePrefix: '', clock: systemClock, settings: {} })
  await guard.open(5_000)
  const attempt = freezerOn(guard).beginFreeze(LIMITS)
  await attempt.held
  process.kill(guard.pid, 'SIGKILL')
  const killedMs = systemClock.monotonicMs()
  await s.agent.until(() => s.agent.journal.includes('thaw 3')) // before anybody asked for it
  assert.ok(systemClock.monotonicMs() - killedMs < PROMISED_MS)
  const outcome = await attempt.thaw()
  assert.ok(outcome.state === 'thawed' && outcome.early)
  assert.equal(existsSync(s.recordFile), false)
})

test('a guardian killed during a freeze: the freeze is a fault and is thawed', async () => {
  await using s = await scene()
  const gate = Promise.withResolvers<void>()
  s.agent.behaviour.beforeFreeze = () => gate.promise
  await using guard = new Guard({ ...s, nodePrefix: '', clock: systemClock, settings: {} })
  await guard.open(5_000)
  const attempt = freezerOn(guard).beginFreeze(LIMITS)
  await s.agent.until(() => s.agent.journal.includes('freeze issued'))
  process.kill(guard.pid, 'SIGKILL')
  await assert.rejects(attempt.held, { code: 'guardian-failed' })
  gate.resolve()
  const outcome = await attempt.thaw()
  assert.equal(outcome.state, 'thawed')
  assert.equal(s.agent.status, 'thawed')
})

test('a guardian that hangs is killed and replaced, and the freeze is a fault', async () => {
  await using s = await scene()
  await using guard = new Guard({ ...s, nodePrefix: '', clock: systemClock, settings: {} })
  await guard.open(5_000)
  const gate = Promise.withResolvers<void>()
  s.agent.behaviour.beforeFreeze = () => gate.promise
  const attempt = freezerOn(guard).beginFreeze({ ...LIMITS, freezeMs: 200 })
  await s.agent.until(() => s.agent.journal.includes('freeze issued'))
  process.kill(guard.pid, 'SIGSTOP')
  await assert.rejects(attempt.held, { code: 'guardian-failed' })
  gate.resolve()
  const outcome = await attempt.thaw()
  assert.equal(outcome.state, 'thawed')
  assert.equal(s.agent.status, 'thawed')
})

test('a requestor that hangs: the guest is thawed at the hold limit', async () => {
  await using s = await scene()
  const { sockets, recordFile } = s
  using requestor = new StubProcess('stub-requestor',
    { sockets, recordFile, limits: { ...LIMITS, holdMs: 300 } })
  await requestor.line('held')
  requestor.stop()
  await s.agent.until(() => s.agent.journal.includes('thaw 3'))
  await recordIsGone(s)
})

test('a guardian that died before the hold makes the freeze a fault', async () => {
  await using s = await scene()
  await using guard = new Guard({ ...s, nodePrefix: '', clock: systemClock, settings: {} })
  await guard.open(5_000)
  process.kill(guard.pid, 'SIGKILL')
  const attempt = freezerOn(guard).beginFreeze(LIMITS)
  await assert.rejects(attempt.held, { code: 'guardian-failed' })
  assert.deepEqual(await attempt.thaw(), { state: 'not-frozen' })
  assert.ok(!s.agent.journal.includes('freeze issued'))
})

test('with requestor and guardian both killed the next prepare thaws and resumes', async () => {
  await using s = await scene()
  const { sockets, recordFile } = s
  using requestor = new StubProcess(
    'stub-requestor', { sockets, recordFile, limits: LIMITS, stop: true })
  const guardianPid = Number(await requestor.line('guardian'))
  await requestor.line('stopped')
  process.kill(guardianPid, 'SIGKILL')
  await requestor.kill()
  assert.equal(s.agent.status, 'frozen')
  const leftovers = await thawLeftovers(s.folder.path, sockets, systemClock, {}, signal)
  assert.deepEqual(leftovers.map(({ released }) => released), [true])
  assert.equal(s.agent.status, 'thawed')
  assert.equal(s.qmp.status, 'running')
  assert.equal(existsSync(recordFile), false)
  assert.deepEqual(await thawLeftovers(s.folder.path, sockets, systemClock, {}, signal), [])
})

test('a guardian is in a session of its own', async () => {
  await using s = await scene()
  await using guard = new Guard({ ...s, nodePrefix: '', clock: systemClock, settings: {} })
  await guard.open(5_000)
  const stat = readFileSync(`/proc/${guard.pid}/stat`, 'latin1')
  const [, , processGroup, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  assert.equal(Number(processGroup), guard.pid)
  assert.equal(Number(session), guard.pid)
})

function freezerOn(guard: Guard): GuardedFreezer {
  return new GuardedFreezer(
    { guard, clock: systemClock, agent: 'qemu-ga 7.2.22', diskIdsOf: () => [] })
}
