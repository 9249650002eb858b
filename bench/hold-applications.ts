/**
 * How long four applications are held: captures of the full guest under load, each asked through
 * the agent in it, nothing read. `tools/node bench/hold-applications.ts [RUNS]`, default 200; each
 * takes seconds under emulation, most of them outside the hold. Prints what each was held for, and
 * the memory of the agent in the guest at the end.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom as random, uuid } from '../src/base/random.ts'
import { connectUnix } from '../src/base/unix-socket.ts'
import { connectRemoteHost, socketChannel } from '../src/channel/mod.ts'
import {
  heldMs, holdAndCommit, stalledMs, type ApplicationHost, type DiscoveredApplication,
  type PreparedWriter, type WriterEvidence,
} from '../src/consistency/mod.ts'
import { startGuest, type RunningGuest } from '../src/demo/mod.ts'
import { openQemuPlatform } from '../src/providers/mod.ts'
import { connectGuestAgent } from '../test/system/guest-agent.ts'
import { spread } from './spread.ts'

const runs = Number(process.argv[2] ?? 200)
const limits = { freezeMs: 30_000, holdMs: 5_000, thawMs: 30_000 }
const signal = new AbortController().signal
const times = new Map<string, number[]>()

function note(what: string, ms: number): void {
  times.set(what, [...times.get(what) ?? [], ms])
}

const folder = await mkdtemp(join(tmpdir(), 'sp-bench-'))
try {
  await using guest = await startGuest({ kind: 'full', folder }, clock, signal)
  await guest.waitUntilReady(signal)
  const socket = await connectUnix(
    guest.channelSocket ?? '', { what: 'the channel', code: 'agent-unreachable' }, signal)
  await using host = await connectRemoteHost(
    { channel: socketChannel(socket), clock, random }, signal)
  const fromMs = clock.monotonicMs()
  const applications = await host.discover(signal)
  note('the first discovery ms', clock.monotonicMs() - fromMs)
  for (let run = 0; run < runs; run++) await capture(guest, host, applications)
  for (const [what, values] of times) console.log(spread(what, values))
  console.log(await memoryOfAgent(guest))
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function capture(
  guest: RunningGuest, host: ApplicationHost, applications: readonly DiscoveredApplication[],
): Promise<void> {
  await using platform = await openQemuPlatform({
    qmp: guest.qmpSocket, guardianQmp: guest.secondQmpSocket, name: 'full',
    agent: guest.agentSocket ?? '', runDir: join(folder, 'run'),
  }, { clock, random, log: silentLog }, signal)
  await using set = await platform.provider('full')
    .prepare({ pointId: uuid(random), exclude: [] }, signal)
  const fromMs = clock.monotonicMs()
  await using prepared = new AsyncDisposableStack()
  const writers: PreparedWriter[] = []
  for (const application of applications) {
    const writer = await host.prepare(application, signal)
    if (writer !== undefined) writers.push(prepared.use(writer))
  }
  note('preparation of all ms', clock.monotonicMs() - fromMs)
  const weight = ({ contract }: PreparedWriter): number => contract.kind === 'held' ? 1 : 0
  const outcome = await holdAndCommit({
    set, writers: writers.toSorted((a, b) => weight(a) - weight(b)), limits, mayFreeze: true,
    whenFreezeFails: 'fail', clock, note: () => {} }, signal)
  note('file systems held ms', heldMs(outcome.hold) ?? NaN)
  note('file systems stalled ms', stalledMs(outcome.hold) ?? NaN)
  for (const [name, did] of outcome.writers) noteHold(name, did)
}

function noteHold(name: string, did: WriterEvidence): void {
  if (did.contract !== 'held' && did.contract !== 'recoverable') throw new Error(`${name}: none`)
  const { freeze, thaw } = did
  if (freeze.state !== 'acknowledged' || thaw.state !== 'thawed' || !thaw.heldThroughout) {
    throw new Error(`${name} was not held: ${JSON.stringify(did)}`)
  }
  const kind = name.split(' ')[0] ?? name
  note(`${kind} ${did.contract} ms`, thaw.issuedMs - freeze.acknowledgedMs)
  note(`${kind} stalled ms`, thaw.acknowledgedMs - freeze.issuedMs)
}

async function memoryOfAgent(guest: RunningGuest): Promise<string> {
  using agent = await connectGuestAgent(guest.agentSocket ?? '', signal)
  const script = 'grep -E "VmRSS|VmHWM" /proc/$(busybox pidof stillpoint-agent)/status'
  const { pid } = await agent.call('guest-exec', {
    'path': '/bin/sh', 'arg': ['-c', script], 'capture-output': true }) as { pid: number }
  for (;;) {
    const status = await agent.call('guest-exec-status', { pid }) as {
      readonly 'exited': boolean; readonly 'out-data'?: string }
    if (status.exited) return Buffer.from(status['out-data'] ?? '', 'base64').toString()
    await clock.sleep(100, signal)
  }
}
