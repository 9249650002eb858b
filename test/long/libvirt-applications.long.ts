/** A machine of libvirt with four databases under load: by the port of its agent, and by hooks. */

import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { deadline, systemClock as clock } from '../../src/base/clock.ts'
import { defaultCacheDir, hasFullGuest } from '../../src/demo/mod.ts'
import { moreOfEach } from '../system/full-guest.ts'
import { RESTART_GUEST_AGENT } from '../system/hook-rounds.ts'
import { backupDomain } from '../system/libvirt/backups.ts'
import type { Shared } from '../system/libvirt/contract.ts'
import { makeScene, run } from '../system/libvirt/killed.ts'
import { leftOvers, libvirtMissing, startDomain, startLibvirt } from '../system/libvirt/rig.ts'
import { proveApplications } from '../system/prove-applications.ts'
import { newRepository } from '../system/rig.ts'

const LIMITS = { timeout: 600_000 }
const AGENT = '/usr/local/bin/stillpoint-agent'
/** For an agent that is there to answer; one that is not never does. */
const ANSWER_MS = 15_000
const PORT_MS = 120_000
const skip = libvirtMissing() ?? (process.getuid?.() === 0 || hasFullGuest(defaultCacheDir())
  ? undefined : 'the full guest can only be built by root')

suite('four databases on libvirt', { skip }, () => {
  let shared: Promise<Shared> | undefined
  const start = (): Promise<Shared> => {
    shared ??= (async () => {
      const libvirt = await startLibvirt()
      const guest = await startDomain(libvirt, 'full', {}, 'full')
      // Its agent comes up after its databases.
      using limit = deadline(clock, PORT_MS, 'the agent in the guest')
      await using platform = await libvirt.open()
      while (await platform.agentPort?.('full', limit.signal) === undefined) {
        await clock.sleep(100, limit.signal)
      }
      return { libvirt, guest }
    })()
    return shared
  }
  after(async () => {
    const it = await shared
    it?.guest[Symbol.dispose]()
    await it?.libvirt[Symbol.asyncDispose]()
  })

  test('are held through the port that libvirt gives their machine, and their disks prove it',
    LIMITS, async (t) => {
      const { libvirt, guest } = await start()
      const scene = await makeScene(t, { libvirt, guest }, 'port')
      await moreOfEach(guest, 5, t)
      const { code, output } = await run(t, scene)
      assert.equal(code, 0, output)
      assert.match(output, /"grade":"application"/)
      const pointId = /"point":"([0-9a-f-]{36})"/.exec(output)?.[1] ?? ''
      t.diagnostic(/"heldMs":[^,]*,"stalledMs":[^,]*/.exec(output)?.[0] ?? output)
      await proveApplications(t, scene.repositoryPath, pointId)
      await moreOfEach(guest, 1, t)
      assert.deepEqual(await leftOvers(libvirt, guest), [])
    })

  for (const whom of ['requestor', 'guardian'] as const) {
    test(`all of them go on when the ${whom} is killed behind the instant`, LIMITS, async (t) => {
      const { libvirt, guest } = await start()
      const scene = await makeScene(t, { libvirt, guest }, whom)
      const killed = await run(
        t, scene, { name: 'captured', where: 'out', text: 'Backup started', whom })
      if (whom === 'requestor') assert.equal(killed.code, null, killed.output)
      else assert.doesNotMatch(killed.output, /"grade":"application"/)
      await moreOfEach(guest, 1, t)
      while ((await leftOvers(libvirt, guest)).includes('a job')) await clock.sleep(100, t.signal)
      const next = await run(t, scene)
      assert.equal(next.code, 0, next.output)
      assert.match(next.output, /"grade":"application"/)
      assert.deepEqual(await leftOvers(libvirt, guest), [])
    })
  }

  test('are held by the freeze hooks of qemu-ga alone', LIMITS, async (t) => {
    const { libvirt, guest } = await start()
    await using platform = await libvirt.open()
    const inside = async (script: string): Promise<string> => {
      using limit = deadline(clock, ANSWER_MS, 'qemu-ga', t.signal) // it may be between two lives
      await using guest = await platform.openGuest?.('full', limit.signal)
      return (await guest?.run('/bin/sh', ['-c', script], ANSWER_MS, limit.signal))?.stdout ?? ''
    }
    const install = await platform.openGuest?.('full', t.signal)
    await install?.run(AGENT, ['install'], 120_000, t.signal)
    await install?.[Symbol.asyncDispose]()
    await inside(RESTART_GUEST_AGENT)
    for (;;) {
      const said = await inside('busybox pidof qemu-ga; cat /run/old-qemu-ga').catch(() => '')
      const [now, old] = said.split('\n')
      if (now !== undefined && old !== undefined && now !== old) break
      await clock.sleep(200, t.signal)
    }
    const { result, evidence } = await backupDomain(
      t, { libvirt, guest, repositoryPath: await newRepository(t), byHooks: true })
    assert.equal(result.grade, 'application', JSON.stringify(result.reasons))
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    assert.match(discovery.by, /by the hooks of qemu-ga$/)
    await moreOfEach(guest, 1, t)
    assert.deepEqual(await leftOvers(libvirt, guest), [])
  })
})
