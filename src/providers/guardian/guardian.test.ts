import assert from 'node:assert/strict'
import { existsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { FakeGuestAgent, FakeQmpServer, temporaryFolder } from '../testing/mod.ts'
import { Guardian, type GuardianPorts } from './guardian.ts'
import type { GuardianMessage, GuardianRequest } from './protocol.ts'
import { readRecord, removeRecord, writeRecord, machineRun } from './record.ts'

const TIMES = { connectMs: 200, patienceMs: 5_000, pauseMs: 5, keepTryingMs: 5_000 }
const LIMITS = { freezeMs: 5_000, holdMs: 5_000, thawMs: 5_000 }

interface Scene extends AsyncDisposable {
  readonly agent: FakeGuestAgent
  readonly qmp: FakeQmpServer
  readonly guardian: Guardian
  readonly recordFile: string
  readonly said: (GuardianMessage | string)[]
  /** Another guardian beside the first. */
  another(): Guardian
}

async function scene(ports: Partial<GuardianPorts> = {}): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const agent = stack.use(await FakeGuestAgent.start(join(folder.path, 'qga')))
  const qmp = stack.use(await FakeQmpServer.start(join(folder.path, 'qmp')))
  const recordFile = join(folder.path, 'a.hold.json')
  const said: (GuardianMessage | string)[] = []
  const another = (): Guardian => new Guardian({
    clock: systemClock, times: TIMES, stopMs: 5_000, idleMs: 5_000, pid: process.pid,
    send: (message) => { said.push(message) },
    shout: (text) => { said.push(text) },
    killRequestor: () => { said.push('killed') },
    ...ports,
  })
  const guardian = another()
  stack.defer(() => guardian.end())
  await guardian.handle({ do: 'open', recordFile, nodePrefix: '', answerMs: 5_000,
    sockets: { agent: agent.path, qmp: qmp.path, guardianQmp: undefined } })
  const owned = stack.move()
  return { agent, qmp, guardian, recordFile, said, another,
    [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('the record is there before the freeze is sent and gone after the thaw is shown', async () => {
  await using s = await scene()
  const seen: boolean[] = []
  s.agent.behaviour.beforeFreeze = () => {
    seen.push(readRecord(s.recordFile)?.frozenSinceMs !== undefined)
    return Promise.resolve()
  }
  assert.deepEqual(await s.guardian.handle({ do: 'freeze', limits: LIMITS }), { count: 3 })
  assert.deepEqual(seen, [true])
  assert.deepEqual(await s.guardian.handle({ do: 'thaw', thawMs: 5_000 }),
    { state: 'thawed', count: 3, early: false })
  assert.equal(existsSync(s.recordFile), false)
  assert.deepEqual(s.said, [{ event: 'thaw-issued', early: false }, { event: 'thaw-answered' }])
  // The connection is still ours: the file systems can be read again.
  assert.deepEqual(await s.guardian.handle({ do: 'file-systems' }), [])
})

test('after the thaw the agent is soon free for others, and can be asked anew', async () => {
  await using s = await scene({ idleMs: 5 })
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  await s.guardian.handle({ do: 'thaw', thawMs: 5_000 })
  await s.agent.until(() => s.agent.clientCount === 0)
  assert.deepEqual(await s.guardian.handle({ do: 'file-systems' }), [])
  await s.agent.until(() => s.agent.clientCount === 0)
})

test('at the end of the hold limit the guest is thawed and a later thaw says so', async () => {
  await using s = await scene()
  await s.guardian.handle({ do: 'freeze', limits: { ...LIMITS, holdMs: 10 } })
  await s.agent.until(() => s.agent.journal.includes('thaw 3'))
  assert.deepEqual(await s.guardian.handle({ do: 'thaw', thawMs: 5_000 }),
    { state: 'thawed', count: 3, early: true })
  assert.deepEqual(s.said[0], { event: 'thaw-issued', early: true })
})

test('a freeze past its limit is thawed right after the agent\u2019s late answer', async () => {
  await using s = await scene()
  const gate = Promise.withResolvers<void>()
  s.agent.behaviour.beforeFreeze = () => gate.promise
  await assert.rejects(
    s.guardian.handle({ do: 'freeze', limits: { ...LIMITS, freezeMs: 10 } }), { code: 'timed-out' })
  const thaw = s.guardian.handle({ do: 'thaw', thawMs: 5_000 })
  assert.ok(existsSync(s.recordFile))
  gate.resolve()
  assert.deepEqual(await thaw, { state: 'thawed', count: 3, early: true })
  assert.deepEqual(s.agent.journal.slice(-3), ['freeze issued', 'freeze 3', 'thaw 3'])
})

test('a thaw that is not shown in time is unknown, and goes on', async () => {
  await using s = await scene()
  const gate = Promise.withResolvers<void>()
  s.agent.behaviour.beforeThaw = () => gate.promise
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  const outcome = await s.guardian.handle({ do: 'thaw', thawMs: 10 })
  assert.equal(JSON.stringify(outcome).includes('"unknown"'), true)
  gate.resolve()
  await s.guardian.end()
  assert.equal(s.agent.status, 'thawed')
  assert.equal(existsSync(s.recordFile), false)
})

test('a freeze that the agent refuses is a fault, and no thaw follows', async () => {
  await using s = await scene()
  s.agent.behaviour.freezeHookStatus = 7
  await assert.rejects(s.guardian.handle({ do: 'freeze', limits: LIMITS }),
    { code: 'freeze-failed', message: /hook has failed with status 7/ })
  assert.deepEqual(await s.guardian.handle({ do: 'thaw', thawMs: 5_000 }), { state: 'not-frozen' })
  assert.ok(!s.agent.journal.some((entry) => entry.startsWith('thaw')))
})

test('what others have frozen is never thawed', async () => {
  await using s = await scene()
  s.agent.freezeByOthers(2)
  await assert.rejects(
    s.guardian.handle({ do: 'freeze', limits: LIMITS }), { code: 'freeze-failed' })
  assert.deepEqual(await s.guardian.handle({ do: 'thaw', thawMs: 5_000 }), { state: 'not-frozen' })
  await s.guardian.end()
  assert.equal(s.agent.status, 'frozen')
})

test('a file system thawed behind the agent\u2019s back shows in the count', async () => {
  await using s = await scene()
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  s.agent.frozen = 2
  assert.deepEqual(await s.guardian.handle({ do: 'thaw', thawMs: 5_000 }),
    { state: 'thawed', count: 2, early: false })
})

test('a thaw hook that fails leaves the guest thawed, without a count', async () => {
  await using s = await scene()
  s.agent.behaviour.thawHookStatus = 7
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  assert.deepEqual(await s.guardian.handle({ do: 'thaw', thawMs: 5_000 }),
    { state: 'thawed', count: undefined, early: false })
})

test('a connection that breaks while frozen is made anew for the thaw', async () => {
  await using s = await scene()
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  s.agent.dropClients()
  const outcome = await s.guardian.handle({ do: 'thaw', thawMs: 5_000 })
  assert.equal(JSON.stringify(outcome).includes('thawed'), true)
  assert.equal(s.agent.status, 'thawed')
})

test('a machine stopped by a requestor that ends is resumed before it can answer', async () => {
  await using s = await scene()
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  await s.guardian.handle({ do: 'stopping' })
  s.qmp.status = 'paused'
  await s.guardian.end()
  assert.equal(s.qmp.status, 'running')
  assert.equal(s.agent.status, 'thawed')
  assert.equal(existsSync(s.recordFile), false)
})

test('a machine that we did not stop is not touched', async () => {
  await using s = await scene()
  s.qmp.status = 'paused'
  await s.guardian.handle({ do: 'stopping' })
  await s.guardian.handle({ do: 'resumed' })
  await s.guardian.end()
  assert.equal(s.qmp.status, 'paused')
  assert.deepEqual(s.qmp.journal, [])
})

test('a requestor that leaves the machine stopped too long is killed', async () => {
  await using s = await scene({ stopMs: 10 })
  s.qmp.status = 'paused'
  await s.guardian.handle({ do: 'stopping' })
  await s.qmp.until(() => s.qmp.status === 'running')
  assert.ok(s.said.includes('killed'))
})

test('a record of a dead guardian is enough to thaw and resume', async () => {
  await using s = await scene()
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  await s.guardian.handle({ do: 'stopping' })
  s.qmp.status = 'paused'
  s.agent.dropClients() // the first guardian's death, as far as the agent can tell
  const second = s.another()
  const release = await second.handle(recoverFrom(s))
  assert.deepEqual(release, { state: 'thawed', count: 3, early: true })
  assert.equal(s.qmp.status, 'running')
  assert.equal(existsSync(s.recordFile), false)
  await second.end()
})

test('a record of another run of the machine does not resume it', async () => {
  await using s = await scene()
  const sockets = { agent: s.agent.path, qmp: s.qmp.path, guardianQmp: undefined }
  writeRecord(s.recordFile, { version: 1, pid: 1, pidStart: '', sockets,
    machineRun: `not ${machineRun(sockets)}`, frozenSinceMs: undefined, stoppedSinceMs: 1 }, true)
  s.qmp.status = 'paused'
  await s.another().handle(recoverFrom(s))
  assert.equal(s.qmp.status, 'paused')
  assert.equal(existsSync(s.recordFile), false)
})

test('a record of a machine that is gone is settled', async () => {
  await using s = await scene()
  const sockets = {
    agent: `${s.agent.path}-gone`, qmp: `${s.qmp.path}-gone`, guardianQmp: undefined }
  writeRecord(s.recordFile, { version: 1, pid: 1, pidStart: '', sockets,
    machineRun: machineRun(sockets), frozenSinceMs: 1, stoppedSinceMs: undefined }, false)
  const release = await s.another().handle(
    recoverFrom(s))
  assert.deepEqual(release, { state: 'not-frozen' })
  assert.equal(existsSync(s.recordFile), false)
})

test('an agent socket that was deleted does not pass for a machine that is gone', async () => {
  await using s = await scene({ times: { ...TIMES, patienceMs: 20, keepTryingMs: 60 } })
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  unlinkSync(s.agent.path) // as a cleaner of temporary files does
  s.agent.dropClients()
  const release = await s.guardian.handle({ do: 'thaw', thawMs: 5_000 })
  assert.match(JSON.stringify(release), /"unknown".*does not exist/)
  assert.ok(s.said.some((entry) => typeof entry === 'string' && /may still be FROZEN/.test(entry)))
  assert.ok(existsSync(s.recordFile))
})

test('a machine whose sockets were all deleted is still known to the kernel', async () => {
  await using s = await scene({ times: { ...TIMES, patienceMs: 20, keepTryingMs: 60 } })
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  await s.guardian.handle({ do: 'stopping' })
  for (const path of [s.agent.path, s.qmp.path]) unlinkSync(path)
  s.agent.dropClients()
  await s.guardian.end()
  const said = JSON.stringify(s.said) // the two are tried at once, in no order
  assert.match(said, /may still be FROZEN/)
  assert.match(said, /may still be STOPPED/)
  assert.ok(existsSync(s.recordFile))
})

test('a guest that cannot be shown to be thawed is told loudly and its record kept', async () => {
  await using s = await scene({ times: { ...TIMES, patienceMs: 20, keepTryingMs: 60 } })
  await s.guardian.handle({ do: 'freeze', limits: LIMITS })
  s.agent.behaviour.isSilent = true
  await s.guardian.end()
  assert.ok(s.said.some((entry) => typeof entry === 'string' && /may still be FROZEN/.test(entry)))
  assert.ok(existsSync(s.recordFile))
  removeRecord(s.recordFile)
})

function recoverFrom(s: Scene): GuardianRequest {
  return { do: 'recover', recordFile: s.recordFile, nodePrefix: '', limitMs: 5_000 }
}

test('programs and files in the guest are reached before and after a hold, and not in it',
  async () => {
    await using s = await scene({ idleMs: 20 })
    const commands: string[] = []
    s.agent.behaviour.commands.set('guest-exec', ({ path }) => {
      commands.push(String(path))
      return { pid: 1 }
    })
    const run = (path: string): Promise<unknown> =>
      s.guardian.handle({ do: 'guest', command: 'guest-exec', args: { path } })
    assert.deepEqual(await run('/before'), { pid: 1 })
    // The connection that will freeze is not given up meanwhile.
    await systemClock.sleep(60, new AbortController().signal)
    await s.guardian.handle({ do: 'freeze', limits: LIMITS })
    await assert.rejects(run('/held'), { code: 'agent-refused' })
    await s.guardian.handle({ do: 'thaw', thawMs: 5_000 })
    await s.agent.until(() => s.agent.clientCount === 0) // it is for others
    assert.deepEqual(await run('/after'), { pid: 1 })
    assert.deepEqual(commands, ['/before', '/after'])
    await s.agent.until(() => s.agent.clientCount === 0)
  })
