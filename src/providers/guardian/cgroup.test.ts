import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { FakeGuestAgent, StubProcess, temporaryFolder } from '../testing/mod.ts'
import { GUARDIAN_GROUP, ownGroup, unifiedMount } from './cgroup.ts'

const LIMITS = { freezeMs: 20_000, holdMs: 20_000, thawMs: 10_000 }
const signal = new AbortController().signal

test('the unified hierarchy and the own group are read from /proc', () => {
  assert.equal(ownGroup('4:memory:/a\n0::/system.slice/b.service\n'), '/system.slice/b.service')
  assert.equal(ownGroup('4:memory:/a\n'), undefined)
  const mounts = [
    '22 1 0:21 / /sys rw - sysfs sysfs rw',
    '30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw', ''].join('\n')
  assert.equal(unifiedMount(mounts), '/sys/fs/cgroup')
  assert.equal(unifiedMount('22 1 0:21 / /sys rw - sysfs sysfs rw\n'), undefined)
})

/** A control group of the test's own; undefined, and skipped, where none can be made. */
function testGroup(t: TestContext): string | undefined {
  const top = unifiedMount(readFileSync('/proc/self/mountinfo', 'utf8'))
  const group = join(top ?? '/nonexistent', `stillpoint-test-${process.pid}`)
  try {
    mkdirSync(group)
  } catch {
    t.skip('control groups cannot be made here: needs root and a unified hierarchy')
    return undefined
  }
  t.after(async () => {
    for (;;) {
      try {
        return rmdirSync(group)
      } catch {
        await systemClock.sleep(20, signal) // the killed processes are not gone yet
      }
    }
  })
  return group
}

test('what kills the whole control group of a requestor leaves the guardian to thaw', async (t) => {
  const group = testGroup(t)
  if (group === undefined) return
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  const sockets = { agent: agent.path, qmp: undefined, guardianQmp: undefined }
  const recordFile = join(folder.path, 'a.hold.json')
  using requestor = new StubProcess('stub-requestor', {
    sockets, recordFile, limits: LIMITS, group: join(group, 'cgroup.procs') })
  const guardian = await requestor.line('guardian')
  await requestor.line('held')
  assert.equal(ownGroup(readFileSync(`/proc/${guardian}/cgroup`, 'utf8')), `/${GUARDIAN_GROUP}`)
  const members = readFileSync(join(group, 'cgroup.procs'), 'utf8').trim().split('\n')
  assert.ok(members.length > 0 && !members.includes(guardian))
  for (const pid of members) process.kill(Number(pid), 'SIGKILL')
  await agent.until(() => agent.journal.includes('thaw 3'))
  // Without its agent the guardian would go on trying to show that the guest is thawed.
  while (existsSync(recordFile)) await systemClock.sleep(5, signal)
})
