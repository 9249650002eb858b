/** Increments by checkpoints, held against copies made past libvirt; and the restored machine. */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock as clock } from '../../../src/base/clock.ts'
import { checkRows, guestPorts, joinGuest } from '../../../src/demo/mod.ts'
import { newRepository, withRepository } from '../rig.ts'
import { basesOf } from '../bare-machine.ts'
import {
  backupBesideCopy, backupDomain, digestsOf, DISKS, restorePoint, type DomainBackup,
} from './backups.ts'
import type { Shared } from './contract.ts'
import { leftOvers, moreRows, trackedPoints } from './rig.ts'

const LIMITS = { timeout: 300_000 }

export function libvirtIncrements(start: () => Promise<Shared>): void {
  suite('increments by checkpoints', () => {
    test('equal copies made past libvirt, beside a foreign checkpoint and an external snapshot',
      LIMITS, async (t) => {
        const shared = await start()
        const { libvirt, guest } = shared
        const wishes = { ...shared, repositoryPath: await newRepository(t) }
        const { pointId } = await backupDomain(t, wishes)

        await libvirt.virsh('checkpoint-create-as', guest.name, 'foreign')
        t.after(() => libvirt.virsh('checkpoint-delete', guest.name, 'foreign'))
        const second = await compared(t, wishes, pointId)
        const third = await compared(t, wishes, second)
        const id = await withRepository(wishes.repositoryPath, t, async ({ id }) => id)
        assert.deepEqual(await trackedPoints(libvirt, guest, id), [third])
        assert.match(await libvirt.virsh(
          'checkpoint-dumpxml', guest.name, 'foreign', '--size', '--no-domain'),
        /<disk name='vda' checkpoint='bitmap' bitmap='foreign' size='[1-9]\d*'\/>/)

        await libvirt.virsh('snapshot-create-as', guest.name, 'external', '--disk-only',
          '--no-metadata')
        await compared(t, wishes, third)
        assert.deepEqual(await leftOvers(libvirt, guest), [])
      })

    test('a restored machine is defined anew and boots with its rows', LIMITS, async (t) => {
      const shared = await start()
      const { libvirt, guest } = shared
      const wishes = { ...shared, repositoryPath: await newRepository(t) }
      await moreRows(guest)
      const summary = await backupDomain(t, wishes)
      assert.equal(summary.result.grade, 'filesystem')
      const { domainPath = '' } = await restorePoint(t, wishes, summary.pointId, 'qcow2')
      const witnessPath = join(dirname(domainPath), 'w')
      // The tiny guest has no boot loader, and there may be no KVM.
      const text = (await readFile(domainPath, 'utf8')).replace(`type='kvm'`, `type='qemu'`)
        .replace(/<os>[^]*<\/os>/, guest.domain.os)
        .replace(/<channel[^]*<\/channel>/, guestPorts(witnessPath))
      await writeFile(domainPath, text)
      await libvirt.virsh('define', domainPath)
      const name = `${guest.name}-restored`
      t.after(() => libvirt.virsh('undefine', name))
      await libvirt.virsh('start', name)
      t.after(() => libvirt.virsh('destroy', name))
      using again = await joinGuest(witnessPath, { load: false }, clock, t.signal)
      const { instant } = summary.evidence
      const endMs = Date.parse(instant.takenAt)
      for (const { holds, claim, detail } of checkRows(again.witness.boot, {
        tables: ['rows', 'canary'], witness: guest.witness, claimsFrozen: true,
        captured: { startMs: endMs - (instant.endMs - instant.startMs), endMs },
      })) assert.ok(holds, `${claim}: ${detail}`)
    })
  })
}

type Context = Parameters<typeof backupBesideCopy>[0]

/** Takes an increment since `base` and holds it against a copy; its point. */
async function compared(
  t: Context, wishes: DomainBackup & Shared, base: string): Promise<string> {
  await moreRows(wishes.guest)
  const { summary, copies } = await backupBesideCopy(t, wishes)
  assert.deepEqual(basesOf(summary), DISKS.map((id) => `${id} ${base}`))
  assert.ok(summary.bytesRead < summary.sizeBytes / 4, `${summary.bytesRead}`)
  const restored = await restorePoint(t, wishes, summary.pointId, 'raw')
  assert.deepEqual(await digestsOf(restored), copies)
  return summary.pointId
}
