import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { deadline, systemClock as clock } from '../../src/base/clock.ts'
import { startGuest, type RunningGuest } from '../../src/demo/mod.ts'
import { connectGuestAgent, type GuestAgent } from './guest-agent.ts'
import { readyGuest, testFolder } from './rig.ts'

async function agentOf(guest: RunningGuest, t: TestContext): Promise<GuestAgent> {
  assert.ok(guest.agentSocket !== undefined)
  const agent = await connectGuestAgent(guest.agentSocket, t.signal)
  t.after(() => agent[Symbol.dispose]())
  return agent
}

const lastRow = (guest: RunningGuest): number => guest.witness.lastAcknowledged('rows')?.id ?? 0

function untilRow(guest: RunningGuest, id: number, t: TestContext): Promise<void> {
  return guest.witness.until(`row ${id}`, () => lastRow(guest) >= id, t.signal)
}

const limits = { timeout: 180_000 }

test('a freeze holds the load; what was acknowledged survives a hard kill', limits, async (t) => {
  const guest = await readyGuest(t)
  const blank = { maxId: 0, count: 0, integrity: 'ok' }
  assert.deepEqual(guest.witness.boot.tables, new Map([['rows', blank], ['canary', blank]]))
  const agent = await agentOf(guest, t)
  await untilRow(guest, 10, t)

  assert.equal(await agent.call('guest-fsfreeze-freeze'), 2)
  const heldAt = lastRow(guest)
  // The only way to see that nothing happens is to wait; unfrozen, 20 rows or more would come.
  await clock.sleep(1000, t.signal)
  assert.ok(lastRow(guest) <= heldAt + 1, `${lastRow(guest) - heldAt} rows while frozen`)
  assert.equal(await agent.call('guest-fsfreeze-thaw'), 2)
  await untilRow(guest, lastRow(guest) + 20, t)

  await guest.kill()
  const told = { rows: lastRow(guest), canary: guest.witness.lastAcknowledged('canary')?.id ?? 0 }
  const again = await readyGuest(t, { disks: guest.disks, load: false })
  const { tables, disks } = again.witness.boot
  for (const [table, last] of Object.entries(told)) {
    const found = tables.get(table)
    assert.ok(found !== undefined && found.maxId >= last && found.maxId <= last + 1, table)
    assert.deepEqual(found, { ...found, count: found.maxId, integrity: 'ok' })
  }
  assert.deepEqual([...disks.values()].map(({ recovered }) => recovered), [true, true])
})

test('XFS and btrfs, raw and qcow2, hold the load and are frozen too', limits, async (t) => {
  const guest = await readyGuest(t, {
    disks: [
      { id: 'disk0', fileSystem: 'xfs', format: 'raw' },
      { id: 'disk1', fileSystem: 'btrfs' },
    ],
  })
  await untilRow(guest, 5, t)
  const agent = await agentOf(guest, t)
  assert.equal(await agent.call('guest-fsfreeze-freeze'), 2)
  assert.equal(await agent.call('guest-fsfreeze-thaw'), 2)
  assert.deepEqual(
    [...guest.witness.boot.disks.values()].map(({ fileSystem }) => fileSystem), ['xfs', 'btrfs'])
})

test('a hook that fails keeps the guest thawed', limits, async (t) => {
  const guest = await readyGuest(t, { hook: { freezeExit: 7 } })
  const agent = await agentOf(guest, t)
  await assert.rejects(agent.call('guest-fsfreeze-freeze'), /status 7/)
  assert.equal(await agent.call('guest-fsfreeze-status'), 'thawed')
  await untilRow(guest, lastRow(guest) + 5, t)
})

test('a silent agent has a port on which nobody answers', limits, async (t) => {
  const guest = await readyGuest(t, { agent: 'silent' })
  using limit = deadline(clock, 2000, 'the agent', t.signal)
  await assert.rejects(
    connectGuestAgent(guest.agentSocket ?? '', limit.signal), { code: 'timed-out' })
  await untilRow(guest, 5, t)
})

test('a disabled agent answers and refuses to freeze', limits, async (t) => {
  const guest = await readyGuest(t, { agent: 'disabled' })
  const agent = await agentOf(guest, t)
  await assert.rejects(agent.call('guest-fsfreeze-freeze'), /disabled/)
})

test('QEMU dies with the process that started it', limits, async (t) => {
  const folder = await testFolder(t)
  const demo = fileURLToPath(new URL('../../src/demo/mod.ts', import.meta.url))
  const clockFile = fileURLToPath(new URL('../../src/base/clock.ts', import.meta.url))
  const script = `
    const { startGuest } = await import(${JSON.stringify(demo)})
    const { systemClock } = await import(${JSON.stringify(clockFile)})
    const options = { kind: 'tiny', folder: ${JSON.stringify(folder)} }
    const guest = await startGuest(options, systemClock, new AbortController().signal)
    console.log(guest.pid)
    await guest.ended`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = await new Promise<number>((resolve) => {
    owner.stdout.once('data', (text: Buffer) => resolve(Number(text.toString())))
  })
  const command = `/proc/${pid}/cmdline`
  assert.match(readFileSync(command, 'utf8'), /^qemu-system-x86_64/)
  owner.kill('SIGKILL')
  for (let tries = 0; existsSync(command) && readFileSync(command, 'utf8') !== ''; tries++) {
    assert.ok(tries < 500, 'QEMU lives on')
    await clock.sleep(10, t.signal)
  }
})

test('a QEMU that cannot start is a fault that says why', limits, async (t) => {
  const folder = await testFolder(t)
  await assert.rejects(
    startGuest({ kind: 'tiny', folder, qemuArguments: ['-device', 'nonesuch'] }, clock, t.signal),
    { code: 'program-failed', message: /nonesuch/ })
})
