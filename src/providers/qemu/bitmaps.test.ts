/** Change tracking against bitmaps in memory: whatever happens, no change is ever missed. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { silentLog } from '../../base/log.ts'
import type { DiskBase, FullReason } from '../../consistency/mod.ts'
import {
  FakeQmpServer, ModelImage, QmpClient, serveBitmaps, temporaryFolder, type ModelBitmap,
} from '../testing/mod.ts'
import type { QemuDisk } from './disks.ts'
import { QemuTracking } from './tracking.ts'

const signal = new AbortController().signal
const REPOSITORIES = ['a'.repeat(64), 'b'.repeat(64)] as const
const DISKS = ['vda', 'vdb'] as const
/** Each lives a dozen runs over a socket. */
const NUM_RUNS = 100
const HAND_MADE = 'somebody-elses'

/** What is known of a sealed point: for each disk its image and how much had been written. */
interface TruePoint {
  readonly pointId: string
  readonly disks: ReadonlyMap<string, { readonly image: ModelImage; readonly writes: number }>
}

/** How a run ends: at its end, given up at a step, or killed before its n-th step. */
type Ending =
  | { readonly how: 'sealed' | 'given-up-before-commit' | 'given-up-after-commit' }
  | { readonly how: 'killed'; readonly beforeStep: number }

interface Run {
  readonly repository: number
  readonly exclude: readonly string[]
  readonly ending: Ending
  /** Blocks written to every disk while the run is under way, before and after its instant. */
  readonly before: readonly number[]
  readonly after: readonly number[]
  /** The clock of the host was put back: the point counts as the oldest. */
  readonly isClockBack: boolean
}

/** One machine, its two repositories, and what really was written. */
class World {
  readonly images = new Map<string, ModelImage>()
  readonly points: readonly [TruePoint[], TruePoint[]] = [[], []]
  readonly #server: FakeQmpServer
  #stepsLeft = Infinity
  #pointCount = 0

  /** The server answers for this world from now on. */
  constructor(server: FakeQmpServer, formats: readonly ModelImage['format'][]) {
    this.#server = server
    for (const [index, disk] of DISKS.entries()) {
      const image = new ModelImage(formats[index] ?? 'qcow2')
      image.bitmaps.set(HAND_MADE, { isRecording: true, isInconsistent: false,
        isPersistent: true, isStored: false, bits: new Set() })
      this.images.set(disk, image)
    }
    serveBitmaps(server, this.images)
    for (const [command, handler] of server.handlers) {
      if (command === 'qmp_capabilities' || /^(stop|cont|query-status)$/.test(command)) continue
      server.handlers.set(command, (args) => this.#isKilled() ? undefined : handler(args))
    }
  }

  #isKilled(): boolean {
    if (this.#stepsLeft-- > 0) return false
    this.#server.dropClients()
    return true
  }

  sealed(repository: number): readonly string[] {
    return (this.points[repository] ?? []).map(({ pointId }) => pointId)
  }

  writeAll(blocks: readonly number[]): void {
    for (const image of this.images.values()) for (const block of blocks) image.write(block)
  }

  /** Carries a run out as the prepared set does. The bases at its instant, if it came so far. */
  async run(run: Run): Promise<ReadonlyMap<string, DiskBase> | undefined> {
    const { ending } = run
    this.#stepsLeft = ending.how === 'killed' ? ending.beforeStep : Infinity
    const foreign = this.#foreign(run.repository)
    try {
      await using client = await QmpClient.connect(this.#server.path, systemClock, signal)
      return await this.#steps(run, client)
    } catch (error) {
      if (ending.how !== 'killed' || !isFault(error, 'machine-lost')) throw error
      return undefined
    } finally {
      this.#stepsLeft = Infinity
      assert.deepEqual(this.#foreign(run.repository), foreign, 'a foreign bitmap was touched')
    }
  }

  async #steps(run: Run, client: QmpClient): Promise<ReadonlyMap<string, DiskBase> | undefined> {
    const { repository, exclude, ending } = run
    const repositoryId = REPOSITORIES[repository] ?? ''
    const pointId = pointName(++this.#pointCount)
    const disks = DISKS.filter((id) => !exclude.includes(id))
    const tracking = await QemuTracking.begin(client, disks.map(asDisk),
      { repositoryId, sealed: this.sealed(repository) }, pointId, silentLog, signal)
    this.writeAll(run.before)
    if (ending.how === 'given-up-before-commit') {
      await tracking.settle(client, signal)
      this.#assertSettled(repositoryId, disks)
      return undefined
    }
    const actions = tracking.switchActions
    if (actions.length > 0) await client.execute('transaction', { actions }, signal)
    const point = { pointId, disks: this.#instant(disks) }
    this.writeAll(run.after)
    for (const id of disks) this.#assertNothingMissed(repository, id, point, tracking)
    if (ending.how !== 'given-up-after-commit') {
      if (this.#isKilled()) return undefined
      const points = this.points[repository]
      if (run.isClockBack) points?.unshift(point)
      else points?.push(point)
      tracking.sealed()
    }
    await tracking.settle(client, signal)
    this.#assertSettled(repositoryId, disks)
    return tracking.bases
  }

  #instant(disks: readonly string[]): TruePoint['disks'] {
    return new Map(disks.flatMap((id) => {
      const image = this.images.get(id)
      return image === undefined ? [] : [[id, { image, writes: image.writes.length }] as const]
    }))
  }

  /** The bitmap to be read has just the blocks written between the base and the new instant. */
  #assertNothingMissed(
    repository: number, disk: string, now: TruePoint, tracking: QemuTracking): void {
    const base = tracking.bases.get(disk)
    const instant = now.disks.get(disk)
    assert.ok(base !== undefined && instant !== undefined)
    if ('full' in base) return
    const { image } = instant
    const point = this.points[repository]?.find(({ pointId }) => pointId === base.since)
    const then = point?.disks.get(disk)
    assert.ok(then !== undefined, 'the base is not in the repository, or without the disk')
    assert.equal(then.image, image, 'the base shows another image')
    const bitmap = image.bitmaps.get(tracking.bitmapOf(disk) ?? '')
    assert.equal(bitmap?.isRecording, false, 'the bitmap of the base goes on after the instant')
    assert.deepEqual(bitmap?.bits, new Set(image.writes.slice(then.writes, instant.writes)))
  }

  #assertSettled(repositoryId: string, disks: readonly string[]): void {
    for (const disk of disks) {
      const own = this.own(disk, repositoryId)
      assert.ok(own.length <= 1, `${disk} has ${own.length} bitmaps of one repository`)
      for (const [name, { isRecording }] of own) assert.ok(isRecording, `${name} does not record`)
    }
  }

  own(disk: string, repositoryId: string): readonly (readonly [string, ModelBitmap])[] {
    return [...this.images.get(disk)?.bitmaps ?? []]
      .filter(([name]) => name.includes(repositoryId))
  }

  #foreign(repository: number): readonly string[] {
    return [...this.images].flatMap(([disk, { bitmaps }]) => [...bitmaps]
      .filter(([name]) => !name.includes(REPOSITORIES[repository] ?? ''))
      .map(([name, { isRecording }]) => `${disk} ${name} ${isRecording}`))
  }

  /** QEMU ends and starts again, each disk with the other's image. */
  exchange(): void {
    const [one, other] = DISKS.map((disk) => this.images.get(disk))
    if (one === undefined || other === undefined) return
    one.close()
    other.close()
    this.images.set('vda', other)
    this.images.set('vdb', one)
  }
}

function pointName(run: number): string {
  return `00000000-0000-4000-8000-${String(run).padStart(12, '0')}`
}

/** Only these are looked at by change tracking. */
function asDisk(id: string): QemuDisk {
  return {
    id, node: id, sizeBytes: 1024, bus: 'virtio', serial: undefined, logicalBlockBytes: undefined,
    path: id, file: id, pci: undefined, target: undefined, lun: undefined,
  }
}

type Event =
  | { readonly kind: 'write'; readonly blocks: readonly number[] }
  | ({ readonly kind: 'run' } & Run)
  | { readonly kind: 'forget'; readonly repository: number; readonly which: number }
  | { readonly kind: 'restart'; readonly inOrder: boolean }
  | { readonly kind: 'exchange' }
  | {
      readonly kind: 'remove-bitmap' | 'spoil-bitmap'
      readonly disk: string; readonly which: number
    }

const blocks = fc.uniqueArray(fc.nat(15), { maxLength: 3 })
const ending: fc.Arbitrary<Ending> = fc.oneof(
  { arbitrary: fc.constant({ how: 'sealed' } as const), weight: 3 },
  fc.constant({ how: 'given-up-before-commit' } as const),
  fc.constant({ how: 'given-up-after-commit' } as const),
  { arbitrary: fc.record({ how: fc.constant('killed' as const), beforeStep: fc.nat(12) }),
    weight: 3 })
const event: fc.Arbitrary<Event> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant('write' as const), blocks }), weight: 3 },
  { weight: 8, arbitrary: fc.record({
    kind: fc.constant('run' as const), repository: fc.nat(1),
    exclude: fc.oneof({ arbitrary: fc.constant([]), weight: 4 }, fc.constant(['vda']),
      fc.constant(['vdb'])),
    ending, before: blocks, after: blocks,
    isClockBack: fc.nat(9).map((n) => n === 0),
  }) },
  fc.record({ kind: fc.constant('forget' as const), repository: fc.nat(1), which: fc.nat(5) }),
  fc.record({ kind: fc.constant('restart' as const), inOrder: fc.nat(3).map((n) => n > 0) }),
  fc.constant({ kind: 'exchange' } as const),
  fc.record({ kind: fc.constantFrom('remove-bitmap' as const, 'spoil-bitmap' as const),
    disk: fc.constantFrom(...DISKS), which: fc.nat(3) }))

async function happen(world: World, event: Event): Promise<void> {
  switch (event.kind) {
    case 'write':
      return world.writeAll(event.blocks)
    case 'run':
      return void await world.run(event)
    case 'forget':
      return void world.points[event.repository]?.splice(event.which, 1)
    case 'restart':
      for (const image of world.images.values()) {
        if (event.inOrder) image.close()
        else image.lose()
      }
      return undefined
    case 'exchange':
      return world.exchange()
    case 'remove-bitmap':
    case 'spoil-bitmap': {
      const bitmaps = world.images.get(event.disk)?.bitmaps
      const [found] = [...bitmaps ?? []].slice(event.which)
      if (found === undefined) return undefined
      const [name, bitmap] = found
      if (event.kind === 'remove-bitmap') bitmaps?.delete(name)
      else Object.assign(bitmap, { isInconsistent: true, isRecording: false })
      return undefined
    }
    default:
      return event satisfies never
  }
}

const RUN: Run = { repository: 0, exclude: [], ending: { how: 'sealed' }, before: [1], after: [2],
  isClockBack: false }

/** Four commands to begin with two disks, one for the instant; the sixth step is the seal. */
const KILLED_BEFORE_SEAL = { how: 'killed', beforeStep: 5 } as const
const KILLED_AFTER_SEAL = { how: 'killed', beforeStep: 6 } as const

const cases: readonly {
  readonly what: string
  readonly events: readonly Event[]
  /** The base of vda in the run that follows: the number of a run, or why there is none. */
  readonly base: number | FullReason
  readonly format?: ModelImage['format']
}[] = [
  { what: 'nothing was before', events: [], base: 'first-backup' },
  { what: 'a run was sealed', events: [run()], base: 1 },
  { what: 'a run was given up before its instant',
    events: [run(), run({ ending: { how: 'given-up-before-commit' } })], base: 1 },
  { what: 'a run was given up after its instant',
    events: [run(), run({ ending: { how: 'given-up-after-commit' } })], base: 1 },
  { what: 'a run was killed before the seal',
    events: [run(), run({ ending: KILLED_BEFORE_SEAL })], base: 1 },
  { what: 'a run was killed after the seal',
    events: [run(), run({ ending: KILLED_AFTER_SEAL })], base: 2 },
  { what: 'a run was killed after the seal, and its clock was put back',
    events: [run(), run({ ending: KILLED_AFTER_SEAL, isClockBack: true })], base: 2 },
  { what: 'a run was killed after the seal, and its point is forgotten',
    events: [run(), run({ ending: KILLED_AFTER_SEAL }), forget(1)], base: 1 },
  { what: 'a run was killed after the seal, and the point before it is forgotten',
    events: [run(), run({ before: [0], ending: KILLED_AFTER_SEAL }), forget(0)], base: 2 },
  { what: 'a run was killed before the seal, and QEMU ended in order',
    events: [run(), run({ ending: KILLED_BEFORE_SEAL }), { kind: 'restart', inOrder: true }],
    base: 1 },
  { what: 'the first run was killed before the seal',
    events: [run({ ending: KILLED_BEFORE_SEAL })], base: 'base-gone' },
  { what: 'the disk was excluded in between', events: [run(), run({ exclude: ['vda'] })], base: 1 },
  { what: 'the base is forgotten', events: [run(), forget(0)], base: 'base-gone' },
  { what: 'QEMU ended in order', events: [run(), { kind: 'restart', inOrder: true }], base: 1 },
  { what: 'QEMU was killed after the bitmap was saved once', events: [
    run(), { kind: 'restart', inOrder: true }, { kind: 'restart', inOrder: false }],
    base: 'bitmap-inconsistent' },
  { what: 'QEMU was killed before the bitmap was ever saved',
    events: [run(), { kind: 'restart', inOrder: false }], base: 'bitmap-gone' },
  { what: 'a raw image was closed', format: 'raw',
    events: [run(), { kind: 'restart', inOrder: true }], base: 'bitmap-gone' },
  { what: 'the image cannot have a bitmap', format: 'old-qcow2', events: [run()],
    base: 'not-tracked' },
  { what: 'somebody removed the bitmap',
    events: [run(), { kind: 'remove-bitmap', disk: 'vda', which: 1 }], base: 'bitmap-gone' },
  { what: 'somebody removed one of the two of a killed run', events: [
    run(), run({ ending: KILLED_BEFORE_SEAL }),
    { kind: 'remove-bitmap', disk: 'vda', which: 2 }], base: 'bitmap-gone' },
  { what: 'one of the two of a killed run is inconsistent', events: [
    run(), run({ ending: KILLED_BEFORE_SEAL }), { kind: 'spoil-bitmap', disk: 'vda', which: 1 }],
    base: 'bitmap-inconsistent' },
  { what: 'two images changed places', events: [run(), { kind: 'exchange' }],
    base: 'disk-replaced' },
  { what: 'only another repository was used', events: [run({ repository: 1 })],
    base: 'other-repository' },
  { what: 'another repository was used in between', events: [run(), run({ repository: 1 })],
    base: 1 },
]

function run(wishes: Partial<Run> = {}): Event {
  return { kind: 'run', ...RUN, ...wishes }
}

function forget(which: number): Event {
  return { kind: 'forget', repository: 0, which }
}

for (const { what, events, base, format = 'qcow2' } of cases) {
  test(`when ${what}, the next run ${typeof base === 'number'
    ? `needs the changes since run ${base}` : `reads in full: ${base}`}`, async () => {
    await using folder = await temporaryFolder()
    await using server = await FakeQmpServer.start(join(folder.path, 'qmp.sock'))
    const world = new World(server, [format, format])
    for (const event of events) await happen(world, event)
    const bases = await world.run(RUN)
    assert.deepEqual(bases?.get('vda'),
      typeof base === 'number' ? { since: pointName(base) } : { full: base })
  })
}

test('whatever happens, a bitmap has every change since its base, and one of each stays',
  async () => {
    await using folder = await temporaryFolder()
    await using server = await FakeQmpServer.start(join(folder.path, 'qmp.sock'))
    const format = fc.constantFrom('qcow2', 'qcow2', 'raw', 'old-qcow2')
    await fc.assert(fc.asyncProperty(
      fc.array(event, { maxLength: 14 }), fc.tuple(format, format),
      async (events, formats) => {
        const world = new World(server, formats)
        for (const event of events) await happen(world, event)
        for (const [repository, id] of REPOSITORIES.entries()) {
          await world.run({ ...RUN, repository })
          // After a good run the next one needs no full read.
          const bases = await world.run({ ...RUN, repository })
          for (const disk of DISKS) {
            const canTrack = world.images.get(disk)?.format !== 'old-qcow2'
            assert.equal('since' in (bases?.get(disk) ?? {}), canTrack, disk)
            assert.equal(world.own(disk, id).length, canTrack ? 1 : 0)
          }
        }
      }), { numRuns: NUM_RUNS })
  })
