import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import type { ReasonCode } from '../../src/consistency/mod.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { QmpClient } from '../../src/providers/testing/mod.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import { leftOvers } from './left-overs.ts'
import { afterCommit, backup, newRepository, pointsOf, readyGuest } from './rig.ts'

const LIMITS = { timeout: 180_000 }

const rows = (guest: RunningGuest): number => guest.witness.lastAcknowledged('rows')?.id ?? 0

/** The guest still works and nothing of ours is left in its QEMU. */
async function assertUnharmed(t: TestContext, guest: RunningGuest): Promise<void> {
  const before = rows(guest)
  await guest.witness.until('the load goes on', () => rows(guest) >= before + 10, t.signal)
  assert.deepEqual(await leftOvers(guest, t.signal), [])
}

const reasons = ({ result }: BackupSummary): readonly ReasonCode[] =>
  result.reasons.map(({ code }) => code)

test('a working freeze is graded filesystem; what the applications did is unknown',
  LIMITS, async (t) => {
    const guest = await readyGuest(t)
    const repositoryPath = await newRepository(t)
    const summary = await backup(t, { guest, repositoryPath })
    assert.equal(summary.result.grade, 'filesystem')
    assert.deepEqual(reasons(summary), ['applications-unknown'])
    assert.deepEqual(summary.judgement, { kind: 'fine' })
    assert.ok(summary.heldMs !== null && summary.stalledMs !== null)
    assert.ok(summary.heldMs > 0 && summary.stalledMs > summary.heldMs)
    await assertUnharmed(t, guest)

    await t.test('declaring that it has no applications does not find out that it has none',
      async (t) => {
        const declared = await backup(t, { guest, repositoryPath, declaredNoApplications: true })
        assert.equal(declared.result.grade, 'filesystem')
        assert.equal(declared.evidence.applications.declaredNone, true)
        assert.deepEqual(reasons(declared), ['applications-unknown'])
      })

    await t.test('the same machine without its agent is weaker than it was: kept, and said so',
      async (t) => {
        const weaker = await backup(t, { guest, repositoryPath, agent: false })
        assert.equal(weaker.result.grade, 'crash')
        assert.deepEqual(reasons(weaker)[0], 'no-agent-configured')
        assert.ok(weaker.judgement.kind === 'weaker' && weaker.judgement.store)
        assert.match(weaker.judgement.because[0] ?? '', /filesystem is required/)
        assert.ok('snapshotId' in weaker.stored)
        assert.equal(weaker.heldMs, null)
      })

    await t.test('with --require crash the same is fine', async (t) => {
      const accepted = await backup(t, {
        guest, repositoryPath, agent: false,
        settings: { require: 'crash', onWeaker: undefined } })
      assert.deepEqual([accepted.result.grade, accepted.judgement.kind], ['crash', 'fine'])
    })

    await t.test('with --on-weaker fail nothing is stored and nothing is left', async (t) => {
      const before = await pointsOf(repositoryPath, t)
      const refused = await backup(t, {
        guest, repositoryPath, agent: false,
        settings: { require: 'filesystem', onWeaker: 'fail' } })
      assert.deepEqual(refused.stored, { not: 'weaker-than-required' })
      assert.equal(refused.bytesRead, 0)
      assert.equal((await pointsOf(repositoryPath, t)).length, before.length)
      await assertUnharmed(t, guest)
    })
  })

const weaker: readonly {
  readonly what: string
  readonly options: Parameters<typeof readyGuest>[1]
  readonly limits?: { freezeMs: number; holdMs: number; thawMs: number }
  readonly reason: ReasonCode
}[] = [
  { what: 'an agent that is silent', options: { agent: 'silent' }, reason: 'agent-silent' },
  { what: 'an agent that refuses', options: { agent: 'disabled' }, reason: 'agent-disabled' },
  { what: 'a hook that fails', options: { hook: { freezeExit: 7 } }, reason: 'freeze-failed' },
  {
    what: 'a hook that outlasts the limit of the freeze', options: { hook: { freezeSleepS: 6 } },
    limits: { freezeMs: 2000, holdMs: 2000, thawMs: 20_000 }, reason: 'freeze-failed',
  },
]
for (const { what, options, limits, reason } of weaker) {
  test(`with ${what} the grade is crash, and required filesystem it is weaker`,
    LIMITS, async (t) => {
      const guest = await readyGuest(t, options)
      const summary = await backup(t, {
        guest, repositoryPath: await newRepository(t),
        settings: { require: 'filesystem', onWeaker: undefined },
        ...(limits === undefined ? {} : { limits }),
      })
      assert.equal(summary.result.grade, 'crash')
      assert.equal(reasons(summary)[0], reason)
      assert.ok(summary.judgement.kind === 'weaker' && summary.judgement.store)
      await assertUnharmed(t, guest)
    })
}

test('a hold that passes its limit is thawed by itself and graded crash', LIMITS, async (t) => {
  const guest = await readyGuest(t)
  const repositoryPath = await newRepository(t)
  const summary = await backup(t, {
    guest, repositoryPath,
    limits: { freezeMs: 20_000, holdMs: 300, thawMs: 20_000 },
    // The commit hangs until the guest writes again: only the guardian can have thawed it.
    wrap: (platform) => afterCommit(platform, async () => {
      const held = rows(guest)
      await guest.witness.until('a thaw', () => rows(guest) > held + 2, t.signal)
    }),
  })
  assert.equal(summary.result.grade, 'crash')
  assert.ok(reasons(summary).includes('hold-not-across'), reasons(summary).join())
  await assertUnharmed(t, guest)
})

test('a file system thawed behind our back shows in the count and costs the grade',
  LIMITS, async (t) => {
    // The hook of the guest thaws one file system shortly after the freeze.
    const guest = await readyGuest(t, { hook: { freezeUndoS: 2 } })
      const summary = await backup(t, {
      guest, repositoryPath: await newRepository(t),
      wrap: (platform) => afterCommit(platform, async () => {
        const held = rows(guest)
        await guest.witness.until('one file system thawed', () => rows(guest) > held + 2, t.signal)
      }),
    })
    assert.equal(summary.result.grade, 'crash')
    assert.ok(reasons(summary).includes('thaw-count-differs'), reasons(summary).join())
    await assertUnharmed(t, guest)
  })

test('a QEMU that dies during the copy is one clear fault and leaves no point',
  LIMITS, async (t) => {
    const guest = await readyGuest(t)
    const repositoryPath = await newRepository(t)
    let isKilled = false
    const lost = backup(t, {
      guest, repositoryPath,
      onEvent: (event) => {
        if (event.kind !== 'phase' || event.phase !== 'reading' || isKilled) return
        isKilled = true
        void guest.kill()
      },
    })
    await assert.rejects(lost, (error) => {
      assert.ok(error instanceof Error && 'code' in error)
      assert.match(String(error.code), /machine-lost|disk-lost|snapshot-broken/)
      return true
    })
    assert.deepEqual(await pointsOf(repositoryPath, t), [])
  })

test('what a backup might leave is seen by these tests', LIMITS, async (t) => {
  const guest = await readyGuest(t, { load: false })
  {
    await using qmp = await QmpClient.connect(guest.secondQmpSocket, clock, t.signal)
    await qmp.execute('blockdev-add', {
      'driver': 'null-co', 'node-name': 'stillpoint-test', 'size': 1024, 'read-zeroes': true,
    }, t.signal)
  }
  assert.deepEqual(await leftOvers(guest, t.signal), ['node stillpoint-test'])
})
