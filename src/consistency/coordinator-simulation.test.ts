/** Whole holds with everything going wrong by seed: nothing stays held, no grade is too good. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { holdAndCommit, type HoldOutcome } from './coordinator.ts'
import { decodeEvidence, encodeEvidence } from './evidence-codec.ts'
import type { ApplicationEvidence, Evidence } from './evidence.ts'
import { gradeOf } from './grade.ts'
import { isWeaker } from './grade-scale.ts'
import { locateData } from './locate-data.ts'
import type { DiscoveredApplication } from './writer.ts'
import { drive } from './testing/drive.ts'
import { FakeFreezer } from './testing/fake-guest.ts'
import { FakeProvider } from './testing/fake-provider.ts'
import { FakeWriter } from './testing/fake-writer.ts'
import { faultySet, faultyWriter, Mischief } from './testing/faulty.ts'
import {
  SAMPLE_MOUNTS, SAMPLE_POINT_ID, SAMPLE_VOLUMES, sampleEvidence,
} from './testing/sample-evidence.ts'

const SEEDS = 400
const STEP_MS = 4

/** What was really so at the instant, seen from outside. */
interface Truth {
  /** File systems frozen at the instant and since the freeze was acknowledged. */
  guestHeld: boolean
  writerHeld: boolean
}

interface Run {
  readonly outcome: HoldOutcome | undefined
  readonly truth: Truth
  readonly applications: readonly DiscoveredApplication[]
}

async function simulate(seed: number): Promise<Run> {
  const clock = new ManualClock()
  const mischief = new Mischief({ seed, clock, faultRate: 0.1, delayRate: 0.3, maxDelayMs: 400 })
  const habits = {
    failsAfterFreezing: mischief.draw() < 0.1, passesOver: mischief.draw() < 0.1 ? 1 : 0,
    neverAnswersThaw: mischief.draw() < 0.05, statesNoThawCount: mischief.draw() < 0.1,
  }
  const guest = new FakeFreezer({ clock, habits })
  const writer = new FakeWriter('redis', {
    clock, limits: { freezeMs: 300, holdMs: 600, thawMs: 300 } })
  const truth: Truth = { guestHeld: false, writerHeld: false }
  const provider = new FakeProvider({
    clock,
    disks: new Map([['vda', new Uint8Array(16)], ['vdb', new Uint8Array(16)]]),
    heldBy: { kind: 'requestor', freezer: guest },
    onInstant: () => {
      truth.guestHeld = guest.frozen?.count === 2
      truth.writerHeld = writer.isFrozen
    },
  })
  const controller = new AbortController()
  const prepared = writer.prepared()
  const prepare = provider.prepare({ pointId: 'p', exclude: [] }, controller.signal)
  await using set = faultySet(await drive(clock, prepare), mischief)
  if (mischief.draw() < 0.2) {
    clock.after(mischief.draw() * 1000, () =>
      controller.abort(new Fault('interrupted', 'by hand')))
  }
  if (mischief.draw() < 0.2) clock.after(mischief.draw() * 500, () => guest.thawOne())
  const run = holdAndCommit({
    set, writers: [faultyWriter(prepared, mischief)], clock, mayFreeze: true,
    limits: { freezeMs: 300, holdMs: 300, thawMs: 300 },
    whenFreezeFails: mischief.draw() < 0.5 ? 'fail' : 'commit-anyway', note: () => {},
  }, controller.signal)
  const outcome = await drive(clock, run, STEP_MS).catch((error: unknown) => {
    assert.ok(error instanceof Fault, String(error))
    return undefined
  })
  // A thaw that was given up on goes on in the guest; give it its time.
  await drive(clock, clock.sleep(5000, new AbortController().signal), 20)
  assert.equal(guest.frozen, undefined, 'the guest is frozen')
  assert.equal(writer.isFrozen, false, 'the application holds')
  return { outcome, truth, applications: [prepared.application] }
}

function evidenceOf({ outcome, applications }: Run): Evidence | undefined {
  if (outcome === undefined) return undefined
  const { hold, instant, lists, writers } = outcome
  return sampleEvidence({
    pointId: SAMPLE_POINT_ID, hold, instant,
    fileSystems: {
      ...lists,
      probes: [{ diskId: 'vda', state: 'probed' }, { diskId: 'vdb', state: 'probed' }],
      volumes: SAMPLE_VOLUMES.map((volume) => ({ ...volume, sign: 'silent' })),
    },
    applications: { declaredNone: false, discovery: {
      state: 'done', by: 'the simulation', applications: applications.map(
        (application): ApplicationEvidence => ({
          ...application,
          data: locateData(application.data, { state: 'listed', fileSystems: SAMPLE_MOUNTS }),
          writer: writers.get(application.name) ??
            { contract: 'none', reason: 'no-writer', detail: '' },
        })) } },
  })
}

test('whatever fails, everything is thawed and no grade is better than the truth', async () => {
  const grades = new Map<string, number>()
  for (let seed = 0; seed < SEEDS; seed++) {
    try {
      const run = await simulate(seed)
      const evidence = evidenceOf(run)
      const grade = evidence === undefined ? 'none' : gradeOf(evidence).grade
      grades.set(grade, (grades.get(grade) ?? 0) + 1)
      if (evidence === undefined || grade === 'none') continue
      assert.deepEqual(decodeEvidence(encodeEvidence(evidence)), evidence)
      if (!isWeaker(grade, 'filesystem')) assert.ok(run.truth.guestHeld, 'the guest was not held')
      if (grade === 'application') assert.ok(run.truth.writerHeld, 'redis was not held')
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
  for (const grade of ['none', 'crash', 'filesystem', 'application']) {
    assert.ok((grades.get(grade) ?? 0) >= 3, `${grade} hardly occurred: ${[...grades].join(' ')}`)
  }
})
