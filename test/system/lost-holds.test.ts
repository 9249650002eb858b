/** What becomes of a hold on a real guest when the guest, the guardian, or both sides are lost. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { QmpClient, StubProcess } from '../../src/providers/testing/mod.ts'
import { connectGuestAgent } from './guest-agent.ts'
import { leftOvers } from './left-overs.ts'
import { afterCommit, backup, newRepository, readyGuest } from './rig.ts'

const LIMITS = { timeout: 300_000 }
const PROGRAM = new URL('../../bin/stillpoint', import.meta.url).pathname
const RUN_DIR = '/run/stillpoint'
/** As the guest is started without `-no-reboot`. */
const REBOOTS = { qemuArguments: ['-action', 'reboot=reset'] } as const

const rows = ({ witness }: RunningGuest): number => witness.lastAcknowledged('rows')?.id ?? 0

async function moreRows(guest: RunningGuest, t: TestContext): Promise<void> {
  const from = rows(guest)
  await guest.witness.until('more rows', () => rows(guest) > from + 3, t.signal)
}

const codes = ({ result }: BackupSummary): readonly string[] =>
  result.reasons.map(({ code }) => code)

/** The guest writes, the next backup is as good as ever, and nothing else is left. */
async function assertAsBefore(
  t: TestContext, guest: RunningGuest, repositoryPath: string): Promise<void> {
  await moreRows(guest, t)
  const next = await backup(t, { guest, repositoryPath })
  assert.equal(next.result.grade, 'filesystem', codes(next).join())
  assert.deepEqual(await leftOvers(guest, t.signal), [])
  assert.deepEqual(recordsOf(guest), [])
}

/** Records of holds on the guest. */
function recordsOf(guest: RunningGuest): readonly string[] {
  return readdirSync(RUN_DIR).filter((name) => name.includes('.hold') &&
    readFileSync(join(RUN_DIR, name), 'utf8').includes(guest.qmpSocket))
}

/** The guardian at work for the process `parent`. */
function guardianOf(parent: number): number {
  const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(parent) &&
        readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('guardian-main')
    } catch {
      return false
    }
  })
  assert.equal(found.length, 1, 'one guardian')
  return Number(found[0])
}

test('a guest reset while it is frozen: the grade falls, and it works when it is up again',
  LIMITS, async (t) => {
    const guest = await readyGuest(t, REBOOTS)
    const repositoryPath = await newRepository(t)
    await moreRows(guest, t)
    const reset = await backup(t, {
      guest, repositoryPath,
      wrap: (platform) => afterCommit(platform, async () => {
        await using qmp = await QmpClient.connect(guest.secondQmpSocket, clock, t.signal)
        await qmp.execute('system_reset', {}, t.signal)
      }),
    })
    t.diagnostic(`${reset.result.grade}: ${codes(reset).join()}`)
    assert.equal(reset.result.grade, 'crash')
    const said = ['thaw-count-differs', 'thaw-count-unknown', 'thaw-unknown', 'found-thawed']
    assert.ok(codes(reset).some((code) => said.includes(code)), codes(reset).join())
    await guest.witness.until('it was up again', ({ boots, isReady }) => boots === 2 && isReady,
      t.signal)
    await assertAsBefore(t, guest, repositoryPath)
  })

test('a guardian killed while the guest is frozen: thawed at once by another, and said so',
  LIMITS, async (t) => {
    const guest = await readyGuest(t)
    const repositoryPath = await newRepository(t)
    const alone = await backup(t, {
      guest, repositoryPath,
      // The commit returns when the guest writes again: nobody else asks for a thaw by then.
      wrap: (platform) => afterCommit(platform, async () => {
        process.kill(guardianOf(process.pid), 'SIGKILL')
        await moreRows(guest, t)
      }),
    })
    t.diagnostic(`${alone.result.grade}: ${codes(alone).join()}`)
    assert.equal(alone.result.grade, 'crash')
    assert.ok(codes(alone).includes('thawed-early'), codes(alone).join())
    await assertAsBefore(t, guest, repositoryPath)
  })

for (const cure of ['the next backup', 'stillpoint recover']) {
  test(`requestor and guardian killed at once: frozen until ${cure} thaws`, LIMITS, async (t) => {
    const guest = await readyGuest(t)
    const { agentSocket: agent = '', qmpSocket: qmp, secondQmpSocket: guardianQmp } = guest
    const requestor = new StubProcess('stub-backup', {
      options: { qmp, agent, guardianQmp, runDir: RUN_DIR }, waitAt: 'captured',
      limits: { freezeMs: 30_000, holdMs: 60_000, thawMs: 30_000 } })
    await requestor.line('captured')
    requestor.stop() // it cannot start another guardian
    process.kill(guardianOf(requestor.pid), 'SIGKILL')
    await requestor.kill()
    {
      using client = await connectGuestAgent(agent, t.signal)
      assert.equal(await client.call('guest-fsfreeze-status'), 'frozen')
    }
    assert.equal(recordsOf(guest).length, 1)
    if (cure === 'stillpoint recover') {
      const { stdout } = await runProgram(PROGRAM, ['recover', '--on',
        `qemu:qmp=${qmp},agent=${agent},guardian-qmp=${guardianQmp},name=tiny`],
      { signal: t.signal })
      t.diagnostic(Buffer.from(stdout).toString())
      assert.match(Buffer.from(stdout).toString(), /a hold since \S+ was released/)
    } else {
      // It thaws before it looks for its repository.
      const { code, stderr } = await runProgram(PROGRAM, ['backup', '-r', '/nowhere/at/all', '--on',
        `qemu:qmp=${qmp},agent=${agent},guardian-qmp=${guardianQmp},name=tiny`],
      { signal: t.signal, okCodes: [10] })
      t.diagnostic(`${code}: ${stderr}`)
    }
    await moreRows(guest, t)
    if (cure === 'stillpoint recover') assert.deepEqual(await leftOvers(guest, t.signal), [])
    // The first to be seen: were the guest still frozen, its agent would say so.
    const repositoryPath = await newRepository(t)
    const next = await backup(t, { guest, repositoryPath })
    assert.equal(next.result.grade, 'filesystem', codes(next).join())
    await assertAsBefore(t, guest, repositoryPath)
  })
}
