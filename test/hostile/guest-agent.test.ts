/** Guest agents that lie, babble, fall silent or hang up, while a guest is frozen. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { forEachBounded } from '../../src/base/bounded.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { FaultCode } from '../../src/base/fault.ts'
import {
  GRADES, holdAndCommit, outlookOf, type GuestFileSystem, type HoldOutcome,
} from '../../src/consistency/mod.ts'
import { FakeProvider, sampleEvidence, sampleVolume } from '../../src/consistency/testing/mod.ts'
import {
  FakeGuestAgent, Guard, GuardedFreezer, Guardian, temporaryFolder,
} from '../../src/providers/testing/mod.ts'
import { hastyClock } from './hasty-clock.ts'
import { ABSURD, Dice, flipBits, grownBytes, mutateJson, outcomeOf } from './mutate.ts'
import { startRelay, type Meddle, type Relayed } from './relay.ts'

const signal = new AbortController().signal
const CODES: readonly FaultCode[] = [
  'agent-unreachable', 'agent-protocol', 'agent-refused', 'freeze-failed', 'timed-out',
]
const MIB = 2 ** 20
const SEEDS = 320
/** So many at once: what they mostly do is wait for an agent that is silent. */
const IN_FLIGHT = 32
/** By the clock of the attacks, twenty of whose milliseconds pass in a real one. */
const clock = hastyClock(20)
const TIMES = { connectMs: 2_000, patienceMs: 2_000, pauseMs: 50, keepTryingMs: 10_000 }
const LIMITS = { freezeMs: 5_000, holdMs: 10_000, thawMs: 5_000 }
const FSINFO = [{ mountpoint: '/', type: 'ext4', name: 'vda1', disk: [{
  'bus-type': 'virtio', bus: 0, target: 0, unit: 0, serial: 's',
  'pci-controller': { domain: 0, bus: 0, slot: 5, function: 0 } }] }]

/** What a hostile agent says in place of one line. */
function damaged(line: Buffer, dice: Dice): Relayed {
  switch (dice.below(11)) {
    case 0: return { send: [] }
    case 1: return { send: [line.subarray(0, dice.below(line.length))], hangUp: true }
    case 2: return { send: [line], hangUp: true }
    case 3: return { send: [line, line] }
    case 4: return { send: [Buffer.concat([dice.bytes(1 + dice.below(200)), Buffer.of(10)]), line] }
    case 5: return { send: [flipBits(line, dice, 0, line.length - 1)] }
    case 6: return { send: [Buffer.from(`${'['.repeat(100_000)}\n`), line] }
    case 7: return { send: [Buffer.from(`${JSON.stringify({ return: dice.pick(ABSURD) })}\n`)] }
    case 8: return { send: [Buffer.from('{"error": {"class": "GenericError", "desc": ' +
      `${JSON.stringify(dice.pick(ABSURD)) ?? 'null'}}}\n`)] }
    case 9: return { send: Array.from({ length: 200 }, () => line) }
    default: return { send: [mutatedAnswer(line, dice)] }
  }
}

function mutatedAnswer(line: Buffer, dice: Dice): Buffer {
  try {
    const at = line.lastIndexOf(0xff) + 1
    const text = JSON.stringify(mutateJson(JSON.parse(line.toString('utf8', at)), dice))
    return Buffer.concat([line.subarray(0, at), Buffer.from(`${text}\n`)])
  } catch {
    return line
  }
}

async function attack(seed: number): Promise<string> {
  const dice = new Dice(seed)
  // From the first damaged answer on, one, a few or all are.
  const first = dice.below(9)
  const last = first + dice.pick([1, 1, 1, 3, Infinity])
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'behind'))
  agent.behaviour.fsinfo = FSINFO
  let thawsIgnored = dice.pick([0, 0, 1, 2])
  await using _ = await startRelay(join(folder.path, 'qga'), agent.path, (line, n) =>
    n >= first && n < last ? damaged(line, dice) : { send: [line] },
  (request) => request.includes('fsfreeze-thaw') && thawsIgnored-- > 0
    ? { say: answer(3) } : undefined)
  const shouts: string[] = []
  const guardian = new Guardian({
    clock, times: TIMES, stopMs: 50_000, idleMs: 50_000, pid: process.pid,
    send: () => {}, shout: (text) => { shouts.push(text) },
    killRequestor: () => assert.fail('nothing was stopped'),
  })
  const sockets = {
    agent: join(folder.path, 'qga'), qmp: agent.path, guardianQmp: undefined } // qmp: somebody
  const recordFile = join(folder.path, 'a.hold.json')
  const what = `seed ${seed}`
  const opened = await outcomeOf(() => guardian.handle(
    { do: 'open', sockets, recordFile, nodePrefix: '', answerMs: 5_000 }), CODES, what)
  await outcomeOf(() => guardian.handle({ do: 'file-systems' }), CODES, what)
  const frozen = await outcomeOf(
    () => guardian.handle({ do: 'freeze', limits: LIMITS }), CODES, what)
  await guardian.handle({ do: 'thaw', thawMs: LIMITS.thawMs })
  await outcomeOf(() => guardian.handle({ do: 'file-systems' }), CODES, what)
  await guardian.end()
  const isTold = shouts.some((text) => text.includes('may still be FROZEN'))
  assert.ok(agent.status === 'thawed' || isTold, `${what}: left frozen without a word`)
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(shouts.join(''), /[\u0000-\u001f\u007f-\u009f]/, what)
  return 'code' in opened ? opened.code : 'code' in frozen ? frozen.code : 'held'
}

test('whatever an agent says, its guest is thawed, or said loudly not to be', async () => {
  const ends = new Map<string, number>()
  const grown = await grownBytes(() => forEachBounded(
    Array.from({ length: SEEDS }, (_, index) => 1 + index), { inFlight: IN_FLIGHT },
    async (seed) => {
      const end = await attack(seed)
      ends.set(end, (ends.get(end) ?? 0) + 1)
    }))
  assert.ok(grown < 256 * MIB, `${grown} bytes more are held`)
  for (const end of ['held', 'agent-protocol', 'agent-unreachable']) {
    assert.ok((ends.get(end) ?? 0) > 0, `none ended ${end}: ${JSON.stringify([...ends])}`)
  }
})

/** A backup's hold, with a guardian's process of its own; the disks are in memory. */
async function holdWith(meddle: Meddle): Promise<HoldOutcome> {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'behind'))
  agent.behaviour.fileSystems = 1
  agent.behaviour.fsinfo = FSINFO
  await using _ = await startRelay(join(folder.path, 'qga'), agent.path, meddle)
  await using guard = new Guard({
    sockets: { agent: join(folder.path, 'qga'), qmp: agent.path, guardianQmp: undefined },
    recordFile: join(folder.path, 'a.hold.json'), nodePrefix: '', clock: systemClock,
    settings: { times: { connectMs: 200, patienceMs: 1_000, pauseMs: 5 } } })
  await outcomeOf(() => guard.open(1_500), CODES, 'open')
  const freezer = new GuardedFreezer(
    { guard, clock: systemClock, agent: 'qemu-ga 7', diskIdsOf: () => ['vda'] })
  const provider = new FakeProvider({ clock: systemClock,
    disks: new Map([['vda', new Uint8Array(4096)]]), heldBy: { kind: 'requestor', freezer } })
  await using set = await provider.prepare({ pointId: 'p', exclude: [] }, signal)
  const outcome = await holdAndCommit({ set, writers: [], limits: LIMITS, mayFreeze: true,
    whenFreezeFails: 'commit-anyway', clock: systemClock, note: () => {} }, signal)
  assert.equal(agent.status, 'thawed')
  return outcome
}

/** How strong the hold makes a backup, 0 the weakest. */
function strengthOf({ hold, lists, instant }: HoldOutcome): number {
  const evidence = sampleEvidence()
  const { grade } = outlookOf({ ...evidence, hold, instant,
    fileSystems: { ...lists, probes: [{ diskId: 'vda', state: 'probed' }],
      volumes: [sampleVolume({ partition: 1, where: 'partition 1', sign: 'silent' })] },
    applications: { declaredNone: true, discovery: { state: 'impossible', reason: '' } } })
  return GRADES.indexOf(grade)
}

const answer = (value: unknown): Buffer => Buffer.from(`{"return": ${String(value)}}\n`)
const isFsinfo = (line: Buffer): boolean => line.includes('mountpoint')
const isCount = (line: Buffer): boolean => /^\{"return": \d+\}/.test(line.toString('latin1'))
const instead = (isIt: (line: Buffer) => boolean, make: () => readonly Uint8Array[]): Meddle =>
  (line) => ({ send: isIt(line) ? make() : [line] })

const LIES: readonly (readonly [string, Meddle])[] = [
  ['a list of numbers that grow when they are written out',
    instead(isFsinfo, () => [answer(`[${'1e20,'.repeat(100_000)}1e20]`)])],
  ['a list that fits the agent\'s line, not ours', instead(isFsinfo, () => [answer(
    `[${Array.from({ length: 400 }, () => `["${'\\u0001'.repeat(1600)}"]`).join()}]`)])],
  ['100 MB without an end', instead(isFsinfo, () =>
    Array.from({ length: 100 }, () => Buffer.alloc(10 ** 6, 'x')))],
  ['counts without sense', instead(isCount, () => [answer('-1')])],
  ['counts that differ', (() => {
    let count = 1
    return instead(isCount, () => [answer(count++)])
  })()],
  ['a count larger than all', instead(isCount, () => [answer(2 ** 52)])],
  ['other lists before and after', (() => {
    let count = 0
    return instead(isFsinfo, () =>
      [answer(JSON.stringify([...FSINFO, { ...FSINFO[0], name: `vda${count++}` }]))])
  })()],
  ['a list of a thousand thousand nothings', instead(isFsinfo, () =>
    [answer(`[${'{},'.repeat(1_000_000)}{}]`)])],
  ['hanging up at the freeze', (line) =>
    isCount(line) ? { send: [], hangUp: true } : { send: [line] }],
  ['silence', () => ({ send: [] })],
]

for (const [name, meddle] of LIES) {
  test(`${name}: one hold that proves less`, async () => {
    const outcome = await holdWith(meddle)
    const [lied, honest] = [strengthOf(outcome), GRADES.indexOf('filesystem')]
    assert.ok(lied < honest, `${GRADES[lied]} with ${JSON.stringify(outcome.hold)}`)
  })
}

test('an agent that tells the truth is believed', async () => {
  const outcome = await holdWith((line) => ({ send: [line] }))
  const listed = outcome.lists.after.state === 'listed' ? outcome.lists.after.fileSystems : []
  assert.deepEqual(listed.map(({ device }: GuestFileSystem) => device), ['vda1'])
  assert.equal(GRADES[strengthOf(outcome)], 'filesystem')
})
