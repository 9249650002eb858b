/** QEMU monitors that lie, babble, fall silent or hang up, in front of a QEMU that works. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { forEachBounded } from '../../src/base/bounded.ts'
import { deadline, systemClock } from '../../src/base/clock.ts'
import type { FaultCode } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom, uuid } from '../../src/base/random.ts'
import type { Platform } from '../../src/catalog/mod.ts'
import { openQemuPlatform } from '../../src/providers/mod.ts'
import {
  BareQemu, FakeQmpServer, Guardian, qemuMissing, temporaryFolder, type TemporaryFolder,
} from '../../src/providers/testing/mod.ts'
import { hastyClock } from './hasty-clock.ts'
import { ABSURD, Dice, flipBits, grownBytes, mutateJson, outcomeOf } from './mutate.ts'
import { startRelay, type Meddle, type Relayed } from './relay.ts'

const MIB = 2 ** 20
const CODES: readonly FaultCode[] = [
  'platform-protocol', 'platform-unreachable', 'platform-refused', 'machine-lost', 'timed-out',
  'snapshot-failed', 'snapshot-broken', 'machine-busy', 'unsupported', 'nothing-to-back-up',
  'disk-lost', 'nbd-protocol', 'nbd-refused', 'guardian-failed', 'no-space',
]
const skip = qemuMissing() ?? false
/** By it the limits of a silent monitor, half a minute and more, are over in seconds. */
const clock = hastyClock(10)
const context = { clock, random: systemRandom, log: silentLog }
const MACHINES = 2
const LANES = 6
/** Far more than the slowest attack takes; a hang would be longer. */
const ATTACK_MS = 60_000

const line = (message: unknown): Buffer => Buffer.from(`${JSON.stringify(message)}\n`)
const FLOOD = Buffer.concat(Array<Buffer>(1000).fill(
  line({ event: 'STOP', data: {}, timestamp: { seconds: 1, microseconds: 2 } })))

/** Damages the lines from the `first` to the `last`; `late` is held back until the next one. */
function hostile(dice: Dice, messages: number): Meddle {
  const first = dice.below(messages)
  const last = first + dice.pick([1, 1, 1, 3, Infinity])
  let late: Buffer | undefined
  return (text, n) => {
    const before = late
    late = undefined
    if (n < first || n >= last) return { send: before === undefined ? [text] : [text, before] }
    if (dice.below(14) > 0) return damaged(text, dice)
    late = text
    return { send: before === undefined ? [] : [before] }
  }
}

/** What a hostile monitor says in place of one line. */
function damaged(text: Buffer, dice: Dice): Relayed {
  const said = parsed(text)
  const id = 'id' in said ? said['id'] : 1
  switch (dice.below(14)) {
    case 0: return { send: [] }
    case 1: return { send: [text.subarray(0, dice.below(text.length))], hangUp: true }
    case 2: return { send: [text], hangUp: true }
    case 3: return { send: [text, text] }
    case 4: return { send: [Buffer.from(dice.bytes(1 + dice.below(200))), Buffer.of(10), text] }
    case 5: return { send: [flipBits(text, dice, 0, text.length - 1)] }
    case 6: return { send: [Buffer.from(`${'['.repeat(100_000)}\n`), text] }
    case 7: return { send: [line({ return: dice.pick(ABSURD), id })] }
    case 8: return { send: [line({ error: { class: dice.pick(ABSURD), desc: dice.pick(ABSURD) },
      id })] }
    case 9: return { send: [line({ ...said, id: dice.pick([...ABSURD, Number(id) + 1]) }), text] }
    case 10: return { send: [FLOOD, FLOOD, FLOOD, FLOOD, text] }
    case 11: return { send: Array.from({ length: 10 }, () => Buffer.alloc(MIB, 'x')) }
    case 12: return { send: [line({ QMP: dice.pick(ABSURD) }), text] }
    default: return { send: [line('id' in said
      ? { ...mutatedObject(said, dice), id } : mutatedObject(said, dice))] }
  }
}

function parsed(text: Buffer): Readonly<Record<string, unknown>> {
  return JSON.parse(text.toString()) as Readonly<Record<string, unknown>>
}

function mutatedObject(value: object, dice: Dice): object {
  const mutated = mutateJson(value, dice)
  return typeof mutated === 'object' && mutated !== null ? mutated : { return: mutated }
}

/** A machine of one disk, filled with its number, and its sockets. */
interface Bench {
  readonly folder: TemporaryFolder
  readonly qemu: BareQemu
  /** Sockets on which QEMU serves us, each one client at a time; the first is the guardian's. */
  readonly sockets: readonly string[]
}

const benches: Bench[] = []
const stack = new AsyncDisposableStack()

before(async () => {
  for (let n = 0; skip === false && n < MACHINES; n++) {
    const folder = stack.use(await temporaryFolder())
    const sockets = Array.from({ length: 1 + LANES }, (_, i) => join(folder.path, `q${i}`))
    const qemu = stack.use(await BareQemu.start({
      folder: folder.path, images: ['a', 'b'], imageBytes: 4 * MIB,
      arguments: [
        '-name', 'bare', '-device', 'virtio-scsi-pci,id=scsi0',
        ...sockets.flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]),
        '-blockdev', `driver=qcow2,node-name=na,file.driver=file,file.filename=${
          join(folder.path, 'a.qcow2')}`,
        '-device', 'virtio-blk-pci,id=vda,drive=na',
        '-blockdev', `driver=qcow2,node-name=nb,file.driver=file,file.filename=${
          join(folder.path, 'b.qcow2')}`,
        '-device', 'scsi-hd,drive=nb,id=sdb',
      ] }))
    await qemu.write('/machine/peripheral/vda/virtio-backend', 0xa1, 0, 4 * MIB)
    benches.push({ folder, qemu, sockets })
  }
})
after(() => stack.disposeAsync())

type Tally = Map<string, number>

function count(tally: Tally, outcome: object): void {
  const end = 'code' in outcome ? String(outcome.code) : 'fine'
  tally.set(end, (tally.get(end) ?? 0) + 1)
}

function assertEnds(tally: Tally, ends: readonly string[]): void {
  for (const end of ends) {
    assert.ok((tally.get(end) ?? 0) > 0, `none ended ${end}: ${JSON.stringify([...tally])}`)
  }
}

test('whatever a monitor says of a machine, asking ends, in a fault at the worst', { skip },
  async (t) => {
    const tally: Tally = new Map()
    const lanes = benches.flatMap(({ sockets }) => sockets.slice(1))
    const attack = async (seed: number, socket: string): Promise<void> => {
      await using folder = await temporaryFolder()
      const path = join(folder.path, 'qmp')
      await using _ = await startRelay(path, socket, hostile(new Dice(seed), 90))
      using limit = deadline(systemClock, ATTACK_MS, `seed ${seed}`)
      count(tally, await outcomeOf(async () => {
        await using platform = await openQemuPlatform({ qmp: path }, context, limit.signal)
        const [machine] = await platform.machines(limit.signal)
        return await platform.describe(machine?.name ?? '', limit.signal)
      }, [...CODES, 'machine-not-found'], `seed ${seed}`))
      limit.signal.throwIfAborted()
    }
    const grown = await grownBytes(() => forEachBounded(
      lanes.keys(), { inFlight: lanes.length }, async (lane) => {
        for (let n = 0; n < 12; n++) await attack(1 + lane * 1000 + n, lanes[lane] ?? '')
      }))
    t.diagnostic(JSON.stringify([...tally]))
    assert.ok(grown < 256 * MIB, `${grown} bytes more are held`)
    assertEnds(tally, ['fine', 'platform-protocol', 'machine-lost', 'timed-out'])
  })

/** Prepares, captures, reads and releases; how many bytes of the first disk were read rightly. */
async function wholeRun(platform: Platform, seed: number, signal: AbortSignal): Promise<number> {
  const [machine] = await platform.machines(signal)
  await using set = await platform.provider(machine?.name ?? '')
    .prepare({ pointId: uuid(systemRandom), exclude: [] }, signal)
  assert.ok(set.heldBy === 'requestor')
  const committed = await set.commit(signal)
  const id = set.disks.find(({ id }) => id === 'vda')?.id
  if (id === undefined) return 0
  await using source = await committed.open(id, signal)
  const bytes = await source.read(0, Math.min(source.sizeBytes, 4 * MIB), signal)
  assert.ok(bytes.every((byte) => byte === 0xa1), `seed ${seed}: wrong bytes were passed off`)
  const intact = await committed.stillIntact(signal)
  return 'intact' in intact ? bytes.length : 0
}

test('whatever a monitor says in a run, nothing is left stopped, and the next run tidies up',
  { skip }, async (t) => {
    const tally: Tally = new Map()
    const attack = async (seed: number, { qemu, sockets, folder }: Bench): Promise<void> => {
      const [guardianQmp = ''] = sockets
      // The same for both runs: what a run leaves is told by the socket that it was made through.
      const path = join(folder.path, 'relayed')
      const runDir = join(folder.path, 'run')
      using limit = deadline(systemClock, ATTACK_MS, `seed ${seed}`)
      {
        await using _ = await startRelay(path, qemu.qmpSocket, hostile(new Dice(seed), 160))
        count(tally, await outcomeOf(async () => {
          await using platform = await openQemuPlatform(
            { qmp: path, guardianQmp, runDir }, context, limit.signal)
          return await wholeRun(platform, seed, limit.signal)
        }, [...CODES, 'machine-not-found', 'not-found', 'scratch-full'], `seed ${seed}`))
      }
      const status = await qemu.client.execute('query-status', {}, limit.signal)
      assert.match(JSON.stringify(status), /"running":true/, `seed ${seed}: left stopped`)
      await using _ = await startRelay(path, qemu.qmpSocket, (text) => ({ send: [text] }))
      await using platform = await openQemuPlatform({ qmp: path, guardianQmp, runDir },
        { ...context, clock: systemClock }, limit.signal)
      assert.equal(await wholeRun(platform, seed, limit.signal), 4 * MIB, `seed ${seed}`)
      assert.deepEqual(await qemu.leavings(), [], `seed ${seed}`)
    }
    await forEachBounded(benches.keys(), { inFlight: MACHINES }, async (number) => {
      const bench = benches[number]
      for (let n = 0; bench !== undefined && n < 10; n++) await attack(1 + number * 1000 + n, bench)
    })
    t.diagnostic(JSON.stringify([...tally]))
    assertEnds(tally, ['fine', 'platform-protocol', 'machine-lost'])
  })

test('a stopped machine runs again whatever its monitor says, or that it may not is said',
  async () => {
    const attack = async (seed: number): Promise<void> => {
      await using folder = await temporaryFolder()
      await using server = await FakeQmpServer.start(join(folder.path, 'behind'))
      const path = join(folder.path, 'qmp')
      await using _ = await startRelay(path, server.path, hostile(new Dice(seed), 6))
      const shouts: string[] = []
      const guardian = new Guardian({
        clock, times: { connectMs: 2_000, patienceMs: 2_000, pauseMs: 50, keepTryingMs: 20_000 },
        stopMs: 50_000, idleMs: 50_000, pid: process.pid, send: () => {},
        shout: (text) => { shouts.push(text) },
        killRequestor: () => assert.fail('nobody is in the way'),
      })
      const sockets = { agent: undefined, qmp: path, guardianQmp: undefined }
      await guardian.handle({ do: 'open', sockets, nodePrefix: '', answerMs: 0,
        recordFile: join(folder.path, 'a.hold.json') })
      await guardian.handle({ do: 'stopping' })
      server.status = 'paused'
      await guardian.end()
      const isTold = shouts.some((text) => text.includes('may still be STOPPED'))
      assert.ok(server.status === 'running' || isTold, `seed ${seed}: left stopped in silence`)
    }
    await forEachBounded(
      Array.from({ length: 96 }, (_, index) => 1 + index), { inFlight: 32 }, attack)
  })
