import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { holdAndCommit, type HoldOutcome, type HoldRequest } from './coordinator.ts'
import { heldMs, stalledMs, type PowerState } from './evidence.ts'
import type { HoldEvent } from './hold-step.ts'
import type { PlatformQuiesce, RequestorHeldSet } from './provider.ts'
import { drive } from './testing/drive.ts'
import { FakeFreezer, type AgentHabits } from './testing/fake-guest.ts'
import { FakeProvider, type FakeProviderOptions } from './testing/fake-provider.ts'
import { FakeWriter, type FakeWriterOptions } from './testing/fake-writer.ts'

const LIMITS = { freezeMs: 1000, holdMs: 500, thawMs: 1000 }
const FULL = ['freeze postgres', 'freeze redis', 'freeze guest', 'commit',
  'thaw guest', 'thaw redis', 'thaw postgres']

interface Scene {
  readonly habits?: AgentHabits
  readonly provider?: Partial<FakeProviderOptions>
  readonly redis?: Partial<FakeWriterOptions>
  readonly request?: Partial<HoldRequest>
  readonly freezer?: RequestorHeldSet['freezer']
  readonly power?: PowerState
  /** When the operator interrupts. */
  readonly abortAtMs?: number
}

/** One machine, two writers, one journal; runs a hold over them. */
class Stage {
  readonly clock = new ManualClock()
  readonly journal: string[] = []
  readonly events: HoldEvent[] = []
  readonly scene: Scene
  readonly guest: FakeFreezer
  readonly writers: readonly [FakeWriter, FakeWriter]
  readonly provider: FakeProvider

  constructor(scene: Scene = {}) {
    const { clock, journal } = this
    this.scene = scene
    this.guest = new FakeFreezer({ clock, journal, habits: scene.habits ?? {} })
    this.writers = [
      new FakeWriter('postgres', { clock, journal }),
      new FakeWriter('redis', { clock, journal, ...scene.redis }),
    ]
    this.provider = new FakeProvider({
      clock, journal, disks: new Map([['vda', new Uint8Array(16)]]),
      power: scene.power ?? 'running',
      heldBy: { kind: 'requestor', freezer: scene.freezer ?? this.guest }, ...scene.provider,
    })
  }

  async run(): Promise<HoldOutcome> {
    const { clock, scene } = this
    const controller = new AbortController()
    const request = { pointId: 'p', exclude: [] }
    await using set = await drive(clock, this.provider.prepare(request, controller.signal))
    if (scene.abortAtMs !== undefined) {
      clock.after(scene.abortAtMs, () => controller.abort(new Fault('interrupted', 'by hand')))
    }
    return await drive(clock, holdAndCommit({
      set, writers: this.writers.map((writer) => writer.prepared()), limits: LIMITS,
      mayFreeze: true, whenFreezeFails: 'commit-anyway', clock,
      note: (event) => { this.events.push(event) }, ...scene.request,
    }, controller.signal))
  }

  /** That nothing is held, whatever happened. */
  assertReleased(): void {
    assert.equal(this.guest.frozen, undefined, 'the guest is frozen')
    for (const writer of this.writers) assert.equal(writer.isFrozen, false, `${writer.name} holds`)
  }
}

test('writers, then file systems are frozen, and thawed in the reverse order', async () => {
  const stage = new Stage()
  const { hold, instant, lists, writers } = await stage.run()
  assert.deepEqual(stage.journal, FULL)
  assert.ok(hold.by === 'requestor' && hold.freeze.state === 'acknowledged')
  assert.ok(hold.thaw.state === 'thawed')
  assert.deepEqual([hold.freeze.count, hold.thaw.count, hold.agent], [2, 2, 'fake-ga 1.0'])
  assert.ok(hold.freeze.acknowledgedMs <= instant.startMs && instant.endMs <= hold.thaw.issuedMs)
  assert.deepEqual([heldMs(hold), stalledMs(hold)], [2, 12])
  assert.match(instant.takenAt, /^2023-11-14T22:13:20\.0\d\dZ$/)
  assert.deepEqual([lists.before.state, lists.after.state], ['listed', 'listed'])
  assert.deepEqual([...writers].map(([name, it]) => [name, it.contract]),
    [['postgres', 'held'], ['redis', 'held']])
  stage.assertReleased()
})

test('every step is noted in memory, in its order', async () => {
  const stage = new Stage()
  await stage.run()
  assert.deepEqual(stage.events.map(({ event, subject }) => `${event} ${subject}`.trim()), [
    'freeze-issued postgres', 'freeze-acknowledged postgres',
    'freeze-issued redis', 'freeze-acknowledged redis',
    'freeze-issued the file systems', 'freeze-acknowledged the file systems',
    'commit-issued', 'commit-done',
    'thaw-issued the file systems', 'thaw-answered the file systems',
    'thaw-issued redis', 'thaw-answered redis',
    'thaw-issued postgres', 'thaw-answered postgres'])
})

suite('a freeze that fails', () => {
  const cases: readonly [string, AgentHabits, string][] = [
    ['before it froze anything', { failsBeforeFreezing: true }, 'not-frozen'],
    ['although it froze', { failsAfterFreezing: true }, 'thawed'],
    ['by never answering', { neverAnswersFreeze: true }, 'thawed'],
  ]
  for (const [name, habits, thawed] of cases) {
    test(`${name}: all is thawed first, then committed with nothing held`, async () => {
      const stage = new Stage({ habits })
      const { hold } = await stage.run()
      assert.deepEqual(stage.journal, ['freeze postgres', 'freeze redis', 'freeze guest',
        'thaw guest', 'thaw redis', 'thaw postgres', 'commit'])
      assert.ok(hold.by === 'requestor')
      assert.deepEqual([hold.freeze.state, hold.thaw.state], ['failed', thawed])
      stage.assertReleased()
    })

    test(`${name}: all is thawed, and nothing committed where less is not wanted`, async () => {
      const stage = new Stage({ habits, request: { whenFreezeFails: 'fail' } })
      await assert.rejects(stage.run(), (error: Fault) =>
        ['freeze-failed', 'timed-out'].includes(error.code))
      assert.ok(!stage.journal.includes('commit'))
      stage.assertReleased()
    })
  }

  test('of a writer lowers that writer alone', async () => {
    const stage = new Stage({ redis: { failsToFreeze: true } })
    const { hold, writers } = await stage.run()
    assert.deepEqual(stage.journal, FULL)
    assert.ok(hold.by === 'requestor' && hold.freeze.state === 'acknowledged')
    const redis = writers.get('redis')
    assert.ok(redis?.contract === 'held' && redis.freeze.state === 'failed')
    assert.equal(redis.freeze.fault.code, 'writer-failed')
    stage.assertReleased()
  })

  test('of a writer stops the run where less is not wanted', async () => {
    const stage = new Stage({
      redis: { failsToFreeze: true }, request: { whenFreezeFails: 'fail' } })
    await assert.rejects(stage.run(), { code: 'writer-failed' })
    assert.deepEqual(stage.journal,
      ['freeze postgres', 'freeze redis', 'thaw redis', 'thaw postgres'])
    stage.assertReleased()
  })
})

suite('a commit', () => {
  test('that fails still thaws everything, and its fault is the one thrown', async () => {
    const stage = new Stage({ provider: { commitFault: new Fault('snapshot-failed', 'no') } })
    await assert.rejects(stage.run(), { code: 'snapshot-failed' })
    assert.deepEqual(stage.journal, FULL)
    stage.assertReleased()
    assert.equal(stage.provider.left.size, 0)
  })

  test('that takes longer than the hold may last does not prolong it', async () => {
    const stage = new Stage({ provider: { commitMs: 5000 } })
    const { hold, instant } = await stage.run()
    assert.ok(hold.by === 'requestor' && hold.thaw.state === 'thawed')
    assert.ok(hold.thaw.issuedMs < instant.endMs)
    assert.ok((heldMs(hold) ?? Infinity) <= LIMITS.holdMs + 1)
    assert.ok(stage.events.some(({ event }) => event === 'hold-limit-passed'))
    stage.assertReleased()
  })

  test('of which the writer’s limit passes releases that writer alone', async () => {
    const stage = new Stage({
      redis: { limits: { freezeMs: 1000, holdMs: 100, thawMs: 1000 } },
      provider: { commitMs: 200 } })
    const { hold, instant, writers } = await stage.run()
    assert.ok(hold.by === 'requestor' && instant.endMs <= hold.thaw.issuedMs)
    const redis = writers.get('redis')
    assert.ok(redis?.contract === 'held' && redis.thaw.issuedMs < instant.endMs)
  })
})

suite('a thaw that never answers', () => {
  test('of the guest does not keep the writers frozen', async () => {
    const stage = new Stage({ habits: { neverAnswersThaw: true } })
    const { hold } = await stage.run()
    assert.ok(hold.by === 'requestor' && hold.thaw.state === 'unknown')
    assert.equal(stalledMs(hold), null)
    stage.assertReleased()
  })

  test('of a writer does not keep the next one frozen', async () => {
    const stage = new Stage({ redis: { neverAnswersThaw: true } })
    const { writers } = await stage.run()
    const redis = writers.get('redis')
    assert.ok(redis?.contract === 'held' && redis.thaw.state === 'unknown')
    stage.assertReleased()
  })
})

suite('an interrupt', () => {
  for (let abortAtMs = 0; abortAtMs <= 20; abortAtMs++) {
    test(`after ${abortAtMs} ms leaves nothing held and no snapshot behind`, async () => {
      const stage = new Stage({ abortAtMs, provider: { commitMs: 5 } })
      await stage.run().catch((error: Fault) => assert.equal(error.code, 'interrupted'))
      stage.assertReleased()
      assert.equal(stage.provider.left.size, 0)
      const thaws = stage.journal.filter((step) => step.startsWith('thaw'))
      const freezes = stage.journal.filter((step) => step.startsWith('freeze'))
      assert.deepEqual(thaws.map((step) => step.slice(5)).toReversed(),
        freezes.map((step) => step.slice(7)))
    })
  }

  test('before the start touches nothing', async () => {
    const stage = new Stage()
    const prepare = stage.provider.prepare(
      { pointId: 'p', exclude: [] }, new AbortController().signal)
    await using set = await drive(stage.clock, prepare)
    await assert.rejects(holdAndCommit({
      set, writers: [], limits: LIMITS, mayFreeze: true, whenFreezeFails: 'fail',
      clock: stage.clock, note: () => {},
    }, AbortSignal.abort(new Fault('interrupted', 'by hand'))), { code: 'interrupted' })
    assert.deepEqual(stage.journal, [])
  })
})

suite('nothing to freeze with', () => {
  const cases: readonly [string, Scene, string][] = [
    ['a missing agent', { freezer: { missing: 'agent-silent', detail: 'x' } }, 'agent-silent'],
    ['a paused machine', { power: 'paused' }, 'paused'],
    ['a saved machine', { power: 'saved' }, 'saved'],
    ['a machine that is off', { power: 'off' }, 'powered-off'],
    ['an operator who asked for none', { request: { mayFreeze: false } }, 'declined'],
  ]
  for (const [name, scene, reason] of cases) {
    test(`${name}: the commit stands alone and the evidence says why`, async () => {
      const stage = new Stage(scene)
      const { hold, lists, writers } = await stage.run()
      assert.deepEqual(stage.journal, ['commit'])
      assert.ok(hold.by === 'nobody')
      assert.deepEqual([hold.reason, lists.before.state], [reason, 'unavailable'])
      assert.deepEqual(writers.get('redis'),
        { contract: 'none', reason: 'not-tried', detail: '' })
    })
  }
})

suite('a platform that holds by itself', () => {
  const quiesce = { claimed: 'application', documents: [
    { name: 'writers', text: '<xml/>', shows: 'application' }] } as const

  test('is asked once, and its documents are kept', async () => {
    const stage = new Stage({ provider: { heldBy: { kind: 'platform', quiesce } } })
    const { hold } = await stage.run()
    assert.deepEqual(hold, { by: 'platform', ...quiesce })
    assert.deepEqual(stage.journal, ['commit'])
  })

  test('that looked for no other data is not taken for one that did', async () => {
    const unheld = async (quiesce: PlatformQuiesce): Promise<unknown> => {
      const stage = new Stage({ provider: { heldBy: { kind: 'platform', quiesce } } })
      return (await stage.run()).stated.unheld
    }
    assert.equal(await unheld(quiesce), undefined)
    assert.deepEqual(await unheld({ ...quiesce, unheld: [] }), [])
  })

  test('holds nothing of a machine that is paused, whatever it claims', async () => {
    const stage = new Stage({
      power: 'paused', provider: { heldBy: { kind: 'platform', quiesce } } })
    const { hold } = await stage.run()
    assert.ok(hold.by === 'nobody' && hold.reason === 'paused')
  })

  test('a document beyond what evidence holds shows nothing', async () => {
    const documents = [{ name: 'x', text: 'x'.repeat(600_000), shows: 'application' }] as const
    const stage = new Stage({ provider: {
      heldBy: { kind: 'platform', quiesce: { claimed: 'application', documents } } } })
    const { hold } = await stage.run()
    assert.ok(hold.by === 'platform')
    assert.deepEqual(hold.documents, [{ name: 'x', text: '', shows: 'nothing' }])
  })
})

test('a guest with more mounts than evidence holds has no list, not part of one', async () => {
  const stage = new Stage()
  stage.guest.mounts = Array.from({ length: 2000 }, (_, at) =>
    ({ mountpoint: `/${at}`, type: 'ext4', device: `dm-${at}`, diskIds: [] }))
  const { lists } = await stage.run()
  assert.equal(lists.before.state, 'unavailable')
})
