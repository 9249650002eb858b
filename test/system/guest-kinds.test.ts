/** Guests that are not two plain disks under load: the right grade, and the sentence for it. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { open, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import { deadline, systemClock as clock } from '../../src/base/clock.ts'
import { startGuest, type GuestOptions, type RunningGuest } from '../../src/demo/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { QmpClient } from '../../src/providers/testing/mod.ts'
import { FIRST_EXTENT, INACTIVE, run, withLvm } from '../interop/lvm-programs.ts'
import { backup, newRepository, readyGuest, testFolder } from './rig.ts'

const LIMITS = { timeout: 240_000 }
const MIB = 2 ** 20
const TWO_DISKS = [{ id: 'disk0' }, { id: 'disk1' }]

async function image(t: TestContext, sizeMiB: number): Promise<string> {
  const path = join(await testFolder(t), 'extra')
  await writeFile(path, '')
  await truncate(path, sizeMiB * MIB)
  return path
}

async function backedUp(
  t: TestContext, options: Partial<GuestOptions>): Promise<BackupSummary['result']> {
  const guest = await readyGuest(t, options)
  const { result } = await backup(t, { guest, repositoryPath: await newRepository(t) })
  t.diagnostic(result.reasons.map(({ sentence }) => sentence).join(' '))
  return result
}

/** `/disks/extra acknowledged`, without what a class is because of. */
function classes({ fileSystems }: BackupSummary['result']): readonly string[] {
  return fileSystems.map((it) => `${it.name.split(' ')[0]} ${it.class}`).toSorted()
}

test('one that is mounted read-only is frozen and counted like others', LIMITS, async (t) => {
  const result = await backedUp(t, {
    disks: [...TWO_DISKS, { id: 'extra' }], layout: 'read-only' })
  assert.equal(result.grade, 'filesystem')
  assert.deepEqual(classes(result), [
    '/disks/disk0 acknowledged', '/disks/disk1 acknowledged', '/disks/extra acknowledged'])
})

test('a file system in a file of another is held with it', LIMITS, async (t) => {
  const result = await backedUp(t, { disks: TWO_DISKS, layout: 'loop' })
  assert.equal(result.grade, 'filesystem')
  assert.deepEqual(classes(result), [
    '/disks/disk0 acknowledged', '/disks/disk1 acknowledged', '/disks/extra acknowledged'])
})

test('a UEFI guest: its partition of EFI cannot be held, which is named and costs nothing', {
  ...LIMITS, skip: missingProgram('sfdisk', 'mkfs.vfat') || !existsSync('/usr/share/OVMF'),
}, async (t) => {
  const path = await image(t, 96)
  const table = 'label: gpt\nstart=2048, size=65536, type=U\nstart=67584, size=65536\n'
  assert.equal(spawnSync('sfdisk', ['-q', path], { input: table }).status, 0)
  await run('mkfs.vfat', '--offset', '2048', path, '32768')
  await run('mkfs.ext4', '-q', '-F', '-E', `offset=${67584 * 512}`, path, '32M')
  const result = await backedUp(t, {
    firmware: 'uefi', layout: 'esp', disks: [...TWO_DISKS, { id: 'extra', format: 'raw', path }] })
  assert.equal(result.grade, 'filesystem')
  assert.deepEqual(classes(result), [
    '/boot/efi unfreezable', '/disks/disk0 acknowledged', '/disks/disk1 acknowledged',
    '/disks/extra acknowledged'])
  // The firmware's variables are not among the disks: that is said.
  assert.equal(result.coverage.kind, 'partial')
})

test('a logical volume is found on its disk, held, and accounted for', {
  ...LIMITS, skip: missingProgram('vgcreate', 'lvcreate', 'losetup', 'mkfs.ext4'),
}, async (t) => {
  const path = await image(t, 100)
  await withLvm([path], async (lvm, [device = '']) => {
    await lvm('pvcreate', device)
    await lvm('vgcreate', 'vg0', device)
    await lvm('lvcreate', ...INACTIVE, '--name', 'data', '--extents', '16', 'vg0')
  })
  const inner = await image(t, 64)
  await run('mkfs.ext4', '-q', '-F', inner)
  await using from = await open(inner)
  await using to = await open(path, 'r+')
  const bytes = Buffer.alloc(64 * MIB)
  await from.read(bytes, 0, bytes.length, 0)
  await to.write(bytes, 0, bytes.length, FIRST_EXTENT)
  const result = await backedUp(t, {
    layout: 'lvm', disks: [...TWO_DISKS, { id: 'extra', format: 'raw', path }] })
  assert.equal(result.grade, 'filesystem')
  assert.deepEqual(classes(result), [
    '/disks/disk0 acknowledged', '/disks/disk1 acknowledged', '/disks/extra acknowledged'])
  assert.ok(result.fileSystems.some(({ volume }) => /vg0\/data/.test(volume?.where ?? '')))
})

test('a guest that was shut down in order is as good as any: its disks show it', LIMITS,
  async (t) => {
    const guest = await offGuest(t)
    const repositoryPath = await newRepository(t)
    const { result } = await backup(t, { guest, repositoryPath })
    assert.ok(result.reasons.some(({ code }) => code === 'clean-image'), JSON.stringify(result))
    assert.equal(result.grade, 'application')
    assert.deepEqual(classes(result).map((it) => it.split(' ')[1]), ['unmounted', 'unmounted'])
  })

async function offGuest(t: TestContext): Promise<RunningGuest> {
  const guest = await startGuest({
    kind: 'tiny', folder: await testFolder(t), layout: 'off', agent: 'absent',
    qemuArguments: ['-no-shutdown'] }, clock, t.signal)
  t.after(() => guest.kill())
  using limit = deadline(clock, 90_000, 'the guest to power off', t.signal)
  while (await tell(guest, 'query-status', limit.signal) !== 'shutdown') {
    await clock.sleep(200, limit.signal)
  }
  return guest
}

test('a paused guest is captured as it stands, and no freeze is tried', LIMITS, async (t) => {
  const guest = await readyGuest(t)
  await tell(guest, 'stop', t.signal)
  const { result, heldMs } = await backup(t, { guest, repositoryPath: await newRepository(t) })
  assert.equal(result.grade, 'crash')
  assert.ok(result.reasons.some(({ code }) => code === 'paused'))
  assert.equal(heldMs, null)
  await tell(guest, 'cont', t.signal)
  const then = guest.witness.lastAcknowledged('rows')?.id ?? 0
  await guest.witness.until('rows again', (it) =>
    (it.lastAcknowledged('rows')?.id ?? 0) > then + 5, t.signal)
})

/** Carries out one command over a connection of its own; the machine's status afterwards. */
async function tell(guest: RunningGuest, command: string, signal: AbortSignal): Promise<unknown> {
  await using client = await QmpClient.connect(guest.secondQmpSocket, clock, signal)
  await client.execute(command, {}, signal)
  const { status } = await client.execute('query-status', {}, signal) as { status: string }
  return status
}
