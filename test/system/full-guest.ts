/** For tests of a guest with four databases: what is done in it, and backups of all of it. */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { systemRandom as random } from '../../src/base/random.ts'
import { connectUnix } from '../../src/base/unix-socket.ts'
import { readRestorePoints, type RestorePoint } from '../../src/catalog/mod.ts'
import type { ApplicationHost } from '../../src/consistency/mod.ts'
import { connectRemoteHost, socketChannel } from '../../src/channel/mod.ts'
import { startGuest, type BootReport, type RunningGuest } from '../../src/demo/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import { connectGuestAgent } from './guest-agent.ts'
import { backup, testFolder, withRepository, type BackupWishes } from './rig.ts'

/** The tables that the guest writes, each of another application. */
export const TABLES = ['rows', 'orders', 'payments', 'events'] as const

const MARIADB = 'mariadb --no-defaults -S /run/mysqld/mysqld.sock -N'

/** Shell commands of the guest's administrator in it. */
export const ADMINISTRATOR = {
  /** As the account that the load uses; the agent is root. */
  mariadb: (sql: string): string =>
    `setpriv --reuid=mysql --regid=mysql --init-groups ${MARIADB} -e "${sql}"`,
  postgres: (sql: string): string =>
    'setpriv --reuid=postgres --regid=postgres --init-groups ' +
    `psql -qAtX -v ON_ERROR_STOP=1 -h /run/postgresql postgres -c "${sql}"`,
  redis: (command: string): string => `redis-cli -s /run/redis/redis.sock ${command}`,
} as const

/** Runs a script in the guest as root, to its end; returns what it printed. Not while frozen. */
export async function inGuest(
  guest: RunningGuest, script: string, t: Pick<TestContext, 'signal'>): Promise<string> {
  assert.ok(guest.agentSocket !== undefined)
  using agent = await connectGuestAgent(guest.agentSocket, t.signal)
  const { pid } = await agent.call('guest-exec', {
    'path': '/bin/sh', 'arg': ['-ec', script], 'capture-output': true }) as { pid: number }
  for (;;) {
    const status = await agent.call('guest-exec-status', { pid }) as {
      readonly 'exited': boolean; readonly 'exitcode'?: number
      readonly 'out-data'?: string; readonly 'err-data'?: string }
    if (status.exited) {
      const said = Buffer.from(status['out-data'] ?? '', 'base64').toString()
      assert.equal(status.exitcode, 0,
        `${script}: ${said}${Buffer.from(status['err-data'] ?? '', 'base64').toString()}`)
      return said
    }
    await clock.sleep(100, t.signal)
  }
}

/** What the hook of qemu-ga does from now on: a wish of src/demo/guest/hook, none if empty. */
export async function setHook(guest: RunningGuest, wish: string, t: TestContext): Promise<void> {
  await inGuest(guest, `echo '${wish}' >/run/stillpoint/hook`, t)
}

/** A backup with the applications asked, over the channel to the agent in the guest. */
export async function backupAll(
  t: TestContext, wishes: Omit<BackupWishes, 'applications'>): Promise<BackupSummary> {
  const { channelSocket } = wishes.guest
  assert.ok(channelSocket !== undefined)
  await using applications = await reachAgent(channelSocket, t)
  return await backup(t, { ...wishes, applications })
}

/** On a busy host the agent's start, of a hundred megabytes, takes longer than it is waited for. */
async function reachAgent(path: string, t: TestContext): Promise<ApplicationHost> {
  for (;;) {
    const socket = await connectUnix(
      path, { what: 'the channel', code: 'agent-unreachable' }, t.signal)
    try {
      return await connectRemoteHost({ channel: socketChannel(socket), clock, random }, t.signal)
    } catch (error) {
      socket.destroy()
      if (!isFault(error, 'agent-unreachable')) throw error
    }
  }
}

/** Waits until each of the four has acknowledged `count` more rows. */
export async function moreOfEach(
  { witness }: Pick<RunningGuest, 'witness'>, count: number, t: Pick<TestContext, 'signal'>,
): Promise<void> {
  const heard = (table: string): number => witness.acknowledged(table).length
  const wanted = TABLES.map((table) => heard(table) + count)
  await witness.until(`${count} more rows of each`, () =>
    TABLES.every((table, index) => heard(table) >= (wanted[index] ?? Infinity)), t.signal)
}

/** Restores a point, starts the machine from it, and returns what it found of itself. */
export async function bootRestored(
  t: TestContext, repositoryPath: string, pointId: string): Promise<BootReport> {
  const folder = await testFolder(t)
  const images = join(folder, 'disks')
  await mkdir(images)
  await withRepository(repositoryPath, t, async (repository) => {
    const point = (await readRestorePoints(repository, t.signal))
      .find((it): it is RestorePoint => it.state === 'readable' && it.pointId === pointId)
    assert.ok(point !== undefined, pointId)
    await restoreDisks(
      { repository, point, folder: images, format: 'qcow2' }, () => {}, clock, t.signal)
  })
  await using restored = await startGuest({
    kind: 'full', folder, agent: 'absent', load: false,
    disks: ['root', 'data'].map((id) => ({
      id, path: join(images, `virtio-${id}.qcow2`), format: 'qcow2' as const })),
  }, clock, t.signal)
  await restored.waitUntilReady(t.signal)
  return restored.witness.boot
}
