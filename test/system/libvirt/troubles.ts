/** What others do to a machine of libvirt, and what a backup then says and leaves. */

import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock as clock } from '../../../src/base/clock.ts'
import { systemRandom as random, uuid } from '../../../src/base/random.ts'
import { runProgram } from '../../../src/base/program.ts'
import type { PreparedSet } from '../../../src/consistency/mod.ts'
import { joinGuest } from '../../../src/demo/mod.ts'
import { basesOf } from '../bare-machine.ts'
import { changeCommitted, newRepository } from '../rig.ts'
import { backupDomain, DISKS } from './backups.ts'
import type { Shared } from './contract.ts'
import { leftOvers, moreRows, type LibvirtGuest } from './rig.ts'

const LIMITS = { timeout: 120_000 }
const MIB = 1024 * 1024

export function libvirtTroubles(start: () => Promise<Shared>): void {
  suite('what others do', () => {
    test('a guest that others froze is captured as it is, told, and not thawed', LIMITS,
      async (t) => {
        const shared = await start()
        const { libvirt, guest } = shared
        await moreRows(guest) // the agent is up, then
        await libvirt.virsh('domfsfreeze', guest.name)
        t.after(() => libvirt.virsh('domfsthaw', guest.name))
        await using platform = await libvirt.open()
        const { freezing } = await platform.provider(guest.name).survey([], t.signal)
        assert.ok('missing' in freezing && freezing.missing === 'agent-busy')
        const repositoryPath = await newRepository(t)
        const { result, evidence } = await backupDomain(t, { ...shared, repositoryPath })
        assert.equal(result.grade, 'crash')
        assert.match(JSON.stringify(evidence), /frozen by somebody else/)
        assert.match(await libvirt.virsh('qemu-agent-command', guest.name,
          '{"execute":"guest-fsfreeze-status"}'), /"frozen"/)
      })

    test('a backup job of others is a clear fault and stays as it is', LIMITS, async (t) => {
      const { libvirt, guest } = await start()
      await using platform = await libvirt.open()
      const xml = join(libvirt.folder, 'other.xml')
      await writeFile(xml, `<domainbackup mode='pull'><server transport='unix'
        socket='${libvirt.folder}/other.sock'/><disks><disk name='vda' type='file'>
        <scratch file='${libvirt.folder}/other.qcow2'/></disk></disks></domainbackup>`)
      await libvirt.virsh('backup-begin', guest.name, xml)
      const provider = platform.provider(guest.name)
      await assert.rejects(provider.prepare({ pointId: uuid(random), exclude: [] }, t.signal),
        { code: 'machine-busy' })
      await assert.rejects(Promise.resolve(provider.recover?.(t.signal)), { code: 'machine-busy' })
      assert.match(await libvirt.virsh('backup-dumpxml', guest.name), /other\.sock/)
      await libvirt.virsh('domjobabort', guest.name)
      await untilNoJob({ libvirt, guest }, t.signal)
    })

    test('a machine that is paused is captured without being resumed', LIMITS, async (t) => {
      const shared = await start()
      const { libvirt, guest } = shared
      await libvirt.virsh('suspend', guest.name)
      t.after(() => libvirt.virsh('resume', guest.name))
      const { result, evidence } = await backupDomain(
        t, { ...shared, repositoryPath: await newRepository(t) })
      assert.equal(result.grade, 'crash')
      assert.match(JSON.stringify(evidence), /"paused"/)
      assert.deepEqual(await leftOvers(libvirt, guest), ['state paused'])
    })

    test('a run keeps another of ours out', LIMITS, async (t) => {
      const { libvirt, guest } = await start()
      await using platform = await libvirt.open()
      const prepare = (): Promise<PreparedSet> => platform.provider(guest.name)
        .prepare({ pointId: uuid(random), exclude: [] }, t.signal)
      await using set = await prepare()
      assert.ok(set.heldBy === 'requestor')
      await set.commit(t.signal)
      await assert.rejects(prepare(), { code: 'machine-busy', message: /run of Stillpoint/ })
      assert.ok((await leftOvers(libvirt, guest)).includes('a job'))
    })

    test('a job that is ended under a reader breaks the instant, and says so', LIMITS,
      async (t) => {
        const shared = await start()
        const { libvirt, guest } = shared
        const repositoryPath = await newRepository(t)
        await assert.rejects(backupDomain(t, { ...shared, repositoryPath, wrap: (platform) =>
          changeCommitted(platform, async (committed) => ({
            ...committed,
            open: async (id, signal) => {
              await libvirt.virsh('domjobabort', guest.name)
              await untilNoJob(shared, signal)
              return committed.open(id, signal)
            } })) }), { code: 'snapshot-broken' })
        await moreRows(guest)
        assert.deepEqual(await leftOvers(libvirt, guest), [])
      })

    test('a capture is given up before its scratch takes the last space, and the machine runs on',
      LIMITS, async (t) => {
        const shared = await start()
        const { libvirt, guest } = shared
        const { small: scratchDir } = libvirt
        if (scratchDir === undefined) return t.skip('a small file system cannot be mounted')
        // A disk that the guest does not know: it is written past it. Gone when QEMU is.
        const image = join(libvirt.folder, 'extra.qcow2')
        await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', image, '64M'],
          { signal: t.signal })
        await libvirt.virsh('attach-disk', guest.name, image, 'vdc', '--subdriver', 'qcow2',
          '--live')
        const write = (pattern: number): Promise<string> => libvirt.virsh('qemu-monitor-command',
          guest.name, '--hmp', `qemu-io -d /machine/peripheral/virtio-disk2/virtio-backend ` +
            `"write -P ${pattern} 0 20M"`)
        await write(17) // zeros would need no scratch
        await using platform = await libvirt.open({ scratchDir, leastScratchBytes: 20 * MIB })
        await using set = await platform.provider(guest.name)
          .prepare({ pointId: uuid(random), exclude: [] }, t.signal)
        assert.ok(set.heldBy === 'requestor')
        const committed = await set.commit(t.signal)
        await using source = await committed.open('vda', t.signal)
        await write(85)
        await untilNoJob(shared, t.signal)
        await assert.rejects(source.read(0, 512, t.signal), { code: 'scratch-full' })
        assert.ok('broken' in await committed.stillIntact(t.signal))
        assert.equal((await libvirt.virsh('domstate', guest.name)).trim(), 'running')
        await moreRows(guest)
      })

    test('a machine that was killed is read in full, for its bitmaps are not whole', LIMITS,
      async (t) => {
        const shared = await start()
        const { libvirt, guest } = shared
        const wishes = { ...shared, repositoryPath: await newRepository(t) }
        await backupDomain(t, wishes)
        await moreRows(guest)
        await killQemu(guest)
        while ((await libvirt.virsh('domstate', guest.name)).trim() === 'running') {
          await clock.sleep(50, t.signal)
        }
        const { result } = await backupDomain(t, wishes)
        assert.deepEqual([result.grade, result.reasons[0]?.code], ['crash', 'image-not-clean'])
        await libvirt.virsh('start', guest.name)
        using again = await joinGuest(guest.domain.witnessPath, {}, clock, t.signal)
        const restarted = { ...guest, witness: again.witness }
        await moreRows(restarted)
        const full = await backupDomain(t, { ...wishes, guest: restarted })
        assert.deepEqual(basesOf(full), DISKS.map((id) => `${id} bitmap-inconsistent`))
        assert.equal(full.result.grade, 'filesystem')
        const next = await backupDomain(t, { ...wishes, guest: restarted })
        assert.deepEqual(basesOf(next), DISKS.map((id) => `${id} ${full.pointId}`))
      })
  })
}

/** As the kernel would for want of memory. */
async function killQemu({ uuid }: LibvirtGuest): Promise<void> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (words.startsWith('/usr/bin/qemu-system') && words.includes(uuid)) {
      process.kill(Number(pid), 'SIGKILL')
    }
  }
}

async function untilNoJob({ libvirt, guest }: Shared, signal: AbortSignal): Promise<void> {
  while ((await leftOvers(libvirt, guest)).includes('a job')) await clock.sleep(50, signal)
}
