/** The QEMU provider on a real guest under load: instants, freezes, requestors killed anywhere. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { deadline, systemClock as clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { seededRandom, systemRandom, uuid } from '../../src/base/random.ts'
import type { Platform } from '../../src/catalog/mod.ts'
import type {
  CommittedSet, FileSystemFreezer, FreezeLimits, RequestorHeldSet,
} from '../../src/consistency/mod.ts'
import { createRawSink } from '../../src/disk/mod.ts'
import {
  checkRows, startGuest, type CaptureWindow, type GuestOptions, type RunningGuest,
} from '../../src/demo/mod.ts'
import { openQemuPlatform, type QemuOptions } from '../../src/providers/mod.ts'
import { QmpClient, StubProcess } from '../../src/providers/testing/mod.ts'
import { connectGuestAgent } from './guest-agent.ts'

const LIMITS: FreezeLimits = { freezeMs: 30_000, holdMs: 10_000, thawMs: 30_000 }
const context = { clock, random: systemRandom, log: silentLog }
const limits = { timeout: 240_000 }
/** docs/simulation.md. The rest is what a busy host needs to notice the death of a process. */
const PROMISED_MS = 2_000

interface Scene {
  readonly folder: string
  readonly guest: RunningGuest
  readonly options: QemuOptions
}

async function scene(
  t: TestContext, guestOptions: Partial<GuestOptions> = {}, more: Partial<QemuOptions> = {},
): Promise<Scene | undefined> {
  if (spawnSync('qemu-system-x86_64', ['--version']).status !== 0) {
    t.skip('qemu-system-x86_64 is missing')
    return undefined
  }
  const folder = await mkdtemp(join(tmpdir(), 'sp-qg-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const guest = await startGuest({ kind: 'tiny', folder, ...guestOptions }, clock, t.signal)
  t.after(() => guest.kill())
  await guest.waitUntilReady(t.signal)
  const { qmpSocket: qmp, agentSocket: agent } = guest
  return { folder, guest, options: {
    qmp, ...(agent === undefined ? {} : { agent }), runDir: join(folder, 'run'), ...more } }
}

const lastRow = (guest: RunningGuest): number => guest.witness.lastAcknowledged('rows')?.id ?? 0

function moreRows(guest: RunningGuest, count: number, signal: AbortSignal): Promise<void> {
  const wanted = lastRow(guest) + count
  return guest.witness.until(`row ${wanted}`, () => lastRow(guest) >= wanted, signal)
}

async function prepare(platform: Platform, signal: AbortSignal): Promise<RequestorHeldSet> {
  const [machine] = await platform.machines(signal)
  const set = await platform.provider(machine?.name ?? '')
    .prepare({ pointId: uuid(systemRandom), exclude: [] }, signal)
  assert.ok(set.heldBy === 'requestor')
  return set
}

function freezerOf(set: RequestorHeldSet): FileSystemFreezer {
  assert.ok(!('missing' in set.freezer), JSON.stringify(set.freezer))
  return set.freezer
}

/** Copies each captured disk into a raw image; returns their paths by id. */
async function copyDisks(
  set: RequestorHeldSet, committed: CommittedSet, parent: string, signal: AbortSignal,
): Promise<readonly { readonly id: string; readonly path: string }[]> {
  const folder = await mkdtemp(join(parent, 'copy-'))
  const copies: { id: string; path: string }[] = []
  for (const { id, sizeBytes } of set.disks) {
    const path = join(folder, `${id}.raw`)
    await using source = await committed.open(id, signal)
    await using sink = await createRawSink(path, sizeBytes, signal)
    assert.ok(source.extents !== undefined)
    for await (const { kind, offset, length } of
      source.extents({ offset: 0, length: sizeBytes }, signal)) {
      for (let at = 0; kind === 'data' && at < length; at += 1024 * 1024) {
        const part = Math.min(1024 * 1024, length - at)
        await sink.write(offset + at, await source.read(offset + at, part, signal), signal)
      }
    }
    await sink.finish(signal)
    copies.push({ id, path })
  }
  assert.deepEqual(await committed.stillIntact(signal), { intact: true })
  return copies
}

async function bootCopies(
  t: TestContext, copies: readonly { readonly id: string; readonly path: string }[],
): Promise<RunningGuest> {
  const folder = await mkdtemp(join(tmpdir(), 'sp-qg-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const again = await startGuest({ kind: 'tiny', folder, load: false,
    disks: copies.map(({ id, path }) => ({ id: id.replace('virtio-', ''), path, format: 'raw' })) },
  clock, t.signal)
  t.after(() => again.kill())
  await again.waitUntilReady(t.signal)
  return again
}

/** Waits until rows come again, QEMU runs, and nothing of ours is left in the machine. */
async function expectReleased(s: Scene, killedMs: number, t: TestContext): Promise<void> {
  await moreRows(s.guest, 2, t.signal)
  const thawedMs = clock.monotonicMs() - killedMs
  t.diagnostic(`rows came again ${thawedMs.toFixed(0)} ms after the kill`)
  assert.ok(thawedMs < PROMISED_MS + 1_000, `rows came again only after ${thawedMs} ms`)
  await using client = await QmpClient.connect(s.guest.secondQmpSocket, clock, t.signal)
  using limit = deadline(clock, 20_000, 'the guardian\'s clean-up', t.signal)
  for (;;) {
    const text = JSON.stringify([
      await client.execute('query-named-block-nodes', { flat: true }, limit.signal),
      await client.execute('query-block-exports', {}, limit.signal),
      await client.execute('query-block', {}, limit.signal),
      await client.execute('query-status', {}, limit.signal),
    ])
    if (!text.includes('stillpoint-') && text.includes('"running":true')) break
    await clock.sleep(50, limit.signal)
  }
  // The record goes only when the agent has said that it is thawed.
  const runDir = join(s.folder, 'run')
  while (existsSync(runDir) && (await readdir(runDir)).some((name) => name.includes('hold'))) {
    await clock.sleep(50, limit.signal)
  }
  await moreRows(s.guest, 2, t.signal)
}

test('a guest under load is captured, again and again, whatever kills the requestor', limits,
  async (t) => {
    const s = await scene(t)
    if (s === undefined) return
    await moreRows(s.guest, 20, t.signal)
    await t.test('frozen: every acknowledged row is there and nothing has to recover', (t) =>
      captureFrozen(s, t))
    await t.test('not frozen: both disks still show one instant', (t) => captureUnfrozen(s, t))
    await t.test('many captures hold it for milliseconds', (t) => captureOften(s, t))
    await t.test('an agent that another program holds is told as busy', (t) => findBusy(s, t))
    await t.test('a requestor killed at any step leaves it running, thawed and clean', (t) =>
      killAtSteps(s, t))
    await t.test('so does one killed at random instants', (t) => killAtRandom(s, t))
  })

async function captureFrozen(s: Scene, t: TestContext): Promise<void> {
  await using platform = await openQemuPlatform(s.options, context, t.signal)
  const [machine] = await platform.machines(t.signal)
  assert.equal(machine?.agent, 'answers')
  await using set = await prepare(platform, t.signal)
  const freezer = freezerOf(set)
  const fileSystems = await freezer.fileSystems(t.signal)
  assert.deepEqual(fileSystems.map(({ type, diskIds }) => `${type} ${diskIds.join()}`).toSorted(),
    ['ext4 virtio-disk0', 'ext4 virtio-disk1'])

  const attempt = freezer.beginFreeze(LIMITS)
  assert.deepEqual(await attempt.held, { count: 2 })
  const heldMs = clock.monotonicMs()
  const startMs = clock.nowMs()
  const committed = await set.commit(t.signal)
  const endMs = clock.nowMs()
  const thaw = await attempt.thaw()
  assert.ok(thaw.state === 'thawed' && thaw.count === 2 && !thaw.early)
  t.diagnostic(`held ${(thaw.issuedMs - heldMs).toFixed(1)} ms, ` +
    `thaw answered after ${(thaw.acknowledgedMs - thaw.issuedMs).toFixed(1)} ms`)
  assert.equal((await freezer.fileSystems(t.signal)).length, 2)

  await moreRows(s.guest, 20, t.signal)
  const again = await bootCopies(t, await copyDisks(set, committed, s.folder, t.signal))
  expectRows(again, s, { startMs, endMs }, true)
}

async function captureUnfrozen(s: Scene, t: TestContext): Promise<void> {
  await using platform = await openQemuPlatform(s.options, context, t.signal)
  await using set = await prepare(platform, t.signal)
  const startMs = clock.nowMs()
  const committed = await set.commit(t.signal)
  const endMs = clock.nowMs()
  await moreRows(s.guest, 20, t.signal)
  const again = await bootCopies(t, await copyDisks(set, committed, s.folder, t.signal))
  expectRows(again, s, { startMs, endMs }, false)
}

function expectRows(
  again: RunningGuest, s: Scene, captured: CaptureWindow, claimsFrozen: boolean): void {
  for (const { holds, claim, detail } of checkRows(again.witness.boot, {
    tables: ['rows'], witness: s.guest.witness, captured, claimsFrozen })) {
    assert.ok(holds, `${claim}: ${detail}`)
  }
}

async function captureOften(s: Scene, t: TestContext): Promise<void> {
  await using platform = await openQemuPlatform(s.options, context, t.signal)
  const held: number[] = []
  for (let round = 0; round < 10; round++) {
    await using set = await prepare(platform, t.signal)
    const attempt = freezerOf(set).beginFreeze(LIMITS)
    await attempt.held
    const heldMs = clock.monotonicMs()
    await set.commit(t.signal)
    const thaw = await attempt.thaw()
    assert.ok(thaw.state === 'thawed' && !thaw.early)
    held.push(thaw.issuedMs - heldMs)
    await moreRows(s.guest, 3, t.signal)
  }
  t.diagnostic(`held ms: ${held.map((ms) => ms.toFixed(1)).join(' ')}`)
}

async function findBusy(s: Scene, t: TestContext): Promise<void> {
  assert.ok(s.guest.agentSocket !== undefined)
  using _other = await connectGuestAgent(s.guest.agentSocket, t.signal)
  await using platform = await openQemuPlatform(s.options, context, t.signal)
  const [machine] = await platform.machines(t.signal)
  assert.equal(machine?.agent, 'busy')
  await using set = await prepare(platform, t.signal)
  assert.ok('missing' in set.freezer && set.freezer.missing === 'agent-busy')
}

async function killAtSteps(s: Scene, t: TestContext): Promise<void> {
  for (const waitAt of ['prepare', 'freeze', 'held', 'captured', 'thawed', 'reading']) {
    await t.test(waitAt, async (t) => {
      using requestor = new StubProcess(
        'stub-backup', { options: s.options, limits: LIMITS, waitAt })
      await requestor.line(waitAt)
      await requestor.kill()
      await expectReleased(s, clock.monotonicMs(), t)
    })
  }
}

async function killAtRandom(s: Scene, t: TestContext): Promise<void> {
  const random = seededRandom(20_26)
  for (let round = 0; round < 8; round++) {
    const [high = 0, low = 0] = random(2)
    const delayMs = (high * 256 + low) / 65_536 * 400
    await t.test(`${delayMs.toFixed(0)} ms after its freeze began`, async (t) => {
      using requestor = new StubProcess('stub-backup', { options: s.options, limits: LIMITS })
      await requestor.line('freeze')
      await clock.sleep(delayMs, t.signal)
      await requestor.kill()
      t.diagnostic(`it had come to: ${requestor.lines.at(-1)}`)
      await expectReleased(s, clock.monotonicMs(), t)
    })
  }
}

test('an agent that cannot freeze is told with its reason, and is no fault', limits, async (t) => {
  for (const agent of ['silent', 'disabled'] as const) {
    await t.test(agent, async (t) => {
      const s = await scene(t, { agent })
      if (s === undefined) return
      await using platform = await openQemuPlatform(s.options, context, t.signal)
      const [machine] = await platform.machines(t.signal)
      assert.equal(machine?.agent, agent)
      await using set = await prepare(platform, t.signal)
      assert.ok('missing' in set.freezer)
      assert.equal(set.freezer.missing, `agent-${agent}`)
      const committed = await set.commit(t.signal)
      assert.ok(committed.oneInstant)
    })
  }
})

test('a requestor killed while a hook delays the freeze: thawed right after the late answer',
  limits, async (t) => {
    const s = await scene(t, { hook: { freezeSleepS: 3 } })
    if (s === undefined) return
    using requestor = new StubProcess('stub-backup', { options: s.options, limits: LIMITS })
    await requestor.line('freeze')
    await clock.sleep(500, t.signal)
    await requestor.kill()
    await expectReleased(s, clock.monotonicMs() + 3_000, t)
  })
