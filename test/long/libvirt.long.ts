/** With libvirt, what takes its time: every kill, an agent kept busy, scratch that runs out. */

import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, suite, test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { systemRandom as random, uuid } from '../../src/base/random.ts'
import { runProgram } from '../../src/base/program.ts'
import { backupDomain } from '../system/libvirt/backups.ts'
import { KILLS, libvirtKilled, makeScene, run, runVerb } from '../system/libvirt/killed.ts'
import type { Shared } from '../system/libvirt/contract.ts'
import {
  leftOvers, libvirtMissing, moreRows, startDomain, startLibvirt,
} from '../system/libvirt/rig.ts'
import { newRepository, withRepository } from '../system/rig.ts'

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

  for (const [when, step] of [
    ['in capture', { name: 'both, in capture', printed: '"phase":"reading"', whom: 'both' }],
    ['frozen', { name: 'both, frozen', where: 'out', text: 'Backup started', whom: 'both' }],
  ] as const) {
    test(`a machine stopped over the scratch of a run killed ${when}, with its guardian, ` +
      'runs on with the next run', LIMITS, async (t) => {
      const { libvirt } = await start()
      const { small } = libvirt
      if (small === undefined) return t.skip('a small file system cannot be mounted')
      using guest = await startDomain(libvirt, `starved-${step.where ?? 'read'}`)
      await runProgram('mount', ['-o', 'remount,size=96m', small], { signal: t.signal })
      const scene = await makeScene(t, { libvirt, guest }, `full-${step.where ?? 'read'}`, small)
      await withRepository(scene.repositoryPath, t, async () => {})
      await inGuest(t, { libvirt, guest }, FILL)
      await inGuest(t, { libvirt, guest }, WRITE_WHEN_FROZEN)
      const killed = await run(t, scene, step)
      assert.equal(killed.code, null, killed.output)
      const filler = join(small, 'filler')
      await runProgram('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', 'count=90'], {
        signal: t.signal, okCodes: [0, 1] })
      const writing = when === 'frozen' ? undefined
        : inGuest(t, { libvirt, guest }, REWRITE).catch(() => {}) // ends when the machine goes on
      const state = async (): Promise<string> =>
        (await libvirt.virsh('domstate', guest.name, '--reason')).trim()
      while (!(await state()).startsWith('paused')) await clock.sleep(200, t.signal)
      assert.equal(await state(), 'paused (I/O error)')

      // There is no space for another backup: the machine goes on all the same.
      const next = await runVerb(t, scene, when === 'frozen' ? 'recover' : 'backup')
      assert.match(await state(), /^running/, next.output)
      assert.equal(next.code, when === 'frozen' ? 0 : 1, next.output)
      await writing
      await moreRows(guest)
      await rm(filler)
      const last = await run(t, scene)
      assert.match(last.output, /"grade":"filesystem"/)
      assert.deepEqual(await leftOvers(libvirt, guest), [])
      assert.deepEqual(await readdir(small), [])
    })
  }
})

const FILL = 'yes a | head -c 20971520 >/disks/disk0/big; sync'
const REWRITE = 'yes b | head -c 20971520 | dd of=/disks/disk0/big bs=65536 conv=notrunc; sync'
/** Writes to the disk itself what is there already, once its file system has held for 5 seconds. */
const WRITE_WHEN_FROZEN = `(while :; do
  rm -f /tmp/written; (: >/disks/disk0/tick; : >/tmp/written) & sleep 5
  [ -e /tmp/written ] || break; done
  disk=$(sed -n 's| /disks/disk0 .*||p' /proc/mounts)
  dd if=$disk of=$disk bs=65536 conv=notrunc; sync) >/dev/null 2>&1 </dev/null &`

async function inGuest(t: TestContext, { libvirt, guest }: Shared, script: string): Promise<void> {
  await using platform = await libvirt.open()
  await using inside = await platform.openGuest?.(guest.name, t.signal)
  await inside?.run('/bin/sh', ['-c', script], 300_000, t.signal)
}
