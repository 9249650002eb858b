/** With libvirt, what takes its time: every kill, an agent kept busy, scratch that runs out. */

import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { systemRandom as random, uuid } from '../../src/base/random.ts'
import { backupDomain } from '../system/libvirt/backups.ts'
import { KILLS, libvirtKilled } from '../system/libvirt/killed.ts'
import type { Shared } from '../system/libvirt/contract.ts'
import {
  leftOvers, libvirtMissing, moreRows, startDomain, startLibvirt,
} from '../system/libvirt/rig.ts'
import { newRepository } from '../system/rig.ts'

const LIMITS = { timeout: 600_000 }
/** Longer than libvirt gives a silent agent, shorter than it lets another client wait. */
const HOOK_S = 20

suite('libvirt in trouble', { skip: libvirtMissing() }, () => {
  let shared: Promise<Shared> | undefined
  const start = (): Promise<Shared> => {
    shared ??= (async () => {
      const libvirt = await startLibvirt()
      return { libvirt, guest: await startDomain(
        libvirt, 'tiny', { hook: { freezeSleepS: HOOK_S } }) }
    })()
    return shared
  }
  after(async () => {
    const it = await shared
    it?.guest[Symbol.dispose]()
    await it?.libvirt[Symbol.asyncDispose]()
  })

  libvirtKilled(async () => {
    const { libvirt } = await start()
    return { libvirt, guest: await startDomain(libvirt, 'prompt') }
  }, KILLS)

  test('an agent that another client keeps busy is told as busy, and the grade is crash', LIMITS,
    async (t) => {
      const it = await start()
      const { libvirt, guest } = it
      await moreRows(guest)
      const other = libvirt.virsh('domfsfreeze', guest.name) // its hook takes long
      await clock.sleep(1_000, t.signal)
      await using platform = await libvirt.open()
      const { freezing } = await platform.provider(guest.name).survey([], t.signal)
      assert.ok('missing' in freezing, JSON.stringify(freezing))
      assert.deepEqual([freezing.missing, freezing.detail],
        ['agent-busy', 'another client of libvirt is using the agent'])
      const { result, evidence } = await backupDomain(
        t, { ...it, repositoryPath: await newRepository(t) })
      assert.equal(result.grade, 'crash')
      assert.match(JSON.stringify(evidence), /agent-busy/)
      await other
      await libvirt.virsh('domfsthaw', guest.name)
      await moreRows(guest)
    })

  test('a machine that QEMU stopped over its full scratch runs on once the set is released',
    LIMITS, async (t) => {
      const { libvirt, guest } = await start()
      if (libvirt.small === undefined) return t.skip('a small file system cannot be mounted')
      await using platform = await libvirt.open({
        scratchDir: libvirt.small, leastScratchBytes: 0 }) // nobody looks in time
      assert.ok(platform.openGuest !== undefined)
      const write = async (letter: string): Promise<void> => {
        await using inside = await platform.openGuest?.(guest.name, t.signal)
        await inside?.run('/bin/sh', ['-c', `for disk in /disks/disk0 /disks/disk1; do
          yes ${letter} | head -c 20971520 | dd of=$disk/big bs=65536 conv=notrunc; done; sync`],
        300_000, t.signal)
      }
      await write('a')
      const set = await platform.provider(guest.name)
        .prepare({ pointId: uuid(random), exclude: [] }, t.signal)
      assert.ok(set.heldBy === 'requestor')
      await set.commit(t.signal)
      const writing = write('b').catch(() => {}) // it ends when the machine goes on
      while ((await libvirt.virsh('domstate', guest.name)).trim() !== 'paused') {
        await clock.sleep(100, t.signal)
      }
      await set[Symbol.asyncDispose]()
      assert.equal((await libvirt.virsh('domstate', guest.name)).trim(), 'running')
      await writing
      await moreRows(guest)
      assert.deepEqual(await leftOvers(libvirt, guest), [])
    })
})
