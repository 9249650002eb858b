/**
 * The life of one seed: a machine, a store, and a requestor that is started again and again. First
 * perhaps a calm run, then one or two in which things go wrong, then the next start, which has to
 * clean up, and perhaps a calm run again.
 */

import assert from 'node:assert/strict'
import { Fault, isFault } from '../../../src/base/fault.ts'
import type { BackupSummary } from '../../../src/backup/mod.ts'
import type { Grade } from '../../../src/consistency/mod.ts'
import { FakeTracking } from '../../../src/consistency/testing/mod.ts'
import { listRecords } from '../../../src/providers/testing/mod.ts'
import type { Repository } from '../../../src/repository/mod.ts'
import type { Storage } from '../../../src/storage/mod.ts'
import { SimulatedClock } from '../clocks.ts'
import { Dice } from './dice.ts'
import { armEvents, PATIENCE_MS } from './events.ts'
import {
  assertDeadlinesKept, assertHonest, assertReleasedAfterDeath, assertRestorable, bestGrade,
  type Death, type Excuse,
} from './judge.ts'
import { ModelMachine } from './model-machine.ts'
import {
  assertNothingLeft, makeStore, openStore, readPoints, restore,
} from './model-repository.ts'
import { StoreView } from './model-store.ts'
import { calmRun, troubledRun, type Moment, type RunPlan } from './plan-of-faults.ts'
import { SimulatedProcess } from './process.ts'
import { Requestor } from './requestor.ts'
import { Tally } from './tally.ts'
import { NEVER, VirtualClock } from './virtual-clock.ts'

/** For whatever was given up to come to its end. */
const AFTERMATH_MS = 120_000
/** For a start to come to the release of what an earlier one left. */
const START_MS = 2000
const DAY_MS = 24 * 3_600_000

export interface LifeOptions {
  /** An empty folder for the guardians' records. */
  readonly runDir: string
  readonly tally: Tally
  /** Told what happens, with the virtual time. */
  readonly note?: (atMs: number, text: string) => void
}

/** Lives one seed; throws where an invariant does not hold. */
export async function live(seed: number, options: LifeOptions): Promise<void> {
  await new Life(seed, options, await makeStore()).run()
}

class Life {
  readonly #options: LifeOptions
  readonly #dice: Dice
  readonly #common = new VirtualClock()
  readonly #store: Storage
  readonly #tracking = new FakeTracking()
  readonly #machine: ModelMachine
  readonly #excuses: Excuse[] = []
  /** What was still held when the reading began, and nothing had gone wrong with the thaw. */
  readonly #heldTooLong: string[] = []
  readonly #deaths: Death[] = []
  /** Points whose runs said that they were stored, and the grade that they said. */
  readonly #stored = new Map<string, Grade>()
  #runs = 0
  /** By the point's id. */
  readonly #runOf = new Map<string, number>()
  #slackMs = 1500
  #silentFromMs: number | undefined

  constructor(seed: number, options: LifeOptions, store: Storage) {
    this.#options = options
    this.#store = store
    this.#dice = new Dice(seed)
    this.#machine = new ModelMachine(
      `seed-${seed}`, options.runDir, this.#dice.fork('machine'), this.#common, this.#note)
  }

  readonly #note = (text: string): void => {
    this.#options.note?.(this.#common.monotonicMs(), text)
  }

  async run(): Promise<void> {
    const dice = this.#dice.fork('runs')
    if (dice.chance(0.5)) await this.#backUpCalmly()
    for (let troubled = dice.pick([1, 1, 2]); troubled > 0; troubled--) {
      const plan = troubledRun(this.#dice.fork(`faults ${troubled}`), this.#machine.plan)
      await this.#backUp(plan)
      await this.#common.runFor(dice.pick([0, 0, 5000, AFTERMATH_MS]))
    }
    await this.#nextStart()
    await this.#common.runFor(AFTERMATH_MS)
    if (dice.chance(0.2)) await this.#backUpCalmly()
    assert.deepEqual(this.#heldTooLong, [], 'held beyond the instant')
    const releases = { excuses: this.#excuses, deaths: this.#deaths, slackMs: this.#slackMs }
    assertDeadlinesKept(this.#machine, releases)
    assertReleasedAfterDeath(this.#machine, releases)
    await this.#lookAtPoints()
    if (dice.chance(0.1)) await this.#cleanUp()
  }

  /** Nothing goes wrong, and so the grade is what the machine allows. */
  async #backUpCalmly(): Promise<void> {
    const summary = await this.#backUp(calmRun(this.#dice.fork(`calm ${this.#runs}`)))
    if (typeof summary === 'string') assert.fail(`a calm run ended with ${summary}`)
    assert.equal(summary.result.grade, bestGrade(this.#machine),
      JSON.stringify(summary.result.reasons.map(({ code, subject }) => `${code} ${subject}`)))
    assert.ok('snapshotId' in summary.stored)
  }

  /** What the program printed, the code it failed with, or `killed`. */
  async #backUp(plan: RunPlan): Promise<BackupSummary | string> {
    const machine = this.#machine
    this.#endExcuses()
    machine.removeAddedDisk()
    machine.guest.run = this.#runs
    this.#behave(plan)
    this.#slackMs = Math.max(this.#slackMs, slackOf(plan))
    if (machine.agent !== undefined) {
      machine.agent.troubleOf = plan.troubleOf
      machine.agent.fates = plan.fates
    }
    const process = this.#process(plan)
    const controller = new AbortController()
    const happens = armEvents({
      plan, machine, common: this.#common, process, controller, excuses: this.#excuses,
      note: this.#note, onEvent: (kind) => this.#options.tally.count(kind),
      onDeath: () => this.#excuseIfAllDead(process) })
    const moment = (now: Moment): void => {
      if (now === 'reading' && plan.isOrderly) {
        // What hangs at its thaw goes on when its session is ended, or at its own limit.
        this.#heldTooLong.push(...machine.guest.held
          .filter((name) => plan.troubleOf(name) !== 'thaw-hangs'))
      }
      happens(now)
    }
    machine.guestAgent.onFrozen = () => moment('frozen')
    machine.guest.onApplicationHeld = () => moment('application-held')
    const requestor = new Requestor({
      process, common: this.#common, machine, tracking: this.#tracking, plan, moment,
      repository: await this.#open(process, plan), dice: this.#dice.fork(`run ${this.#runs}`),
      note: this.#note })
    moment('start')
    this.#note(`run ${this.#runs}${plan.isCalm ? ', calm' : ''}`)
    const ended = await this.#common.runUntil(
      Promise.race([requestor.backup(controller.signal).catch(codeOf), process.died]))
    process.end()
    for (const id of machine.instants.keys()) {
      if (!this.#runOf.has(id)) this.#runOf.set(id, this.#runs)
    }
    this.#runs++
    this.#settle(ended)
    return ended
  }

  #process(plan: RunPlan): SimulatedProcess {
    const { agent, guardians, plan: { channel } } = this.#machine
    const isTold = plan.closeIsTold || channel === 'socket'
    const process: SimulatedProcess = new SimulatedProcess({
      common: this.#common, note: this.#note, dieAt: plan.dieAt, onDeath: () => {
        const own = guardians.filter(({ of }) => of === process)
        this.#deaths.push({
          run: this.#runs, atMs: this.#common.monotonicMs(), isTold,
          hasGuardian: own.some(({ guardian }) => !guardian.hasExited) })
        for (const { guardian } of own) guardian.requestorGone()
        agent?.requestorDied(isTold)
        this.#excuseIfAllDead(process)
      } })
    return process
  }

  /** A run may begin while the one before is being released: by an agent that is silent now. */
  #behave({ habits }: RunPlan): void {
    const nowMs = this.#common.monotonicMs()
    if (this.#silentFromMs !== undefined) {
      this.#excuses.push({ fromMs: this.#silentFromMs, toMs: nowMs + PATIENCE_MS })
    }
    this.#silentFromMs = habits.isSilent ? nowMs : undefined
    this.#machine.guestAgent.habits = habits
  }

  /** Then only the next start can release anything. */
  #excuseIfAllDead(process: SimulatedProcess): void {
    const isAlive = this.#machine.guardians.some(({ guardian }) => !guardian.hasExited)
    if (!process.isDead || isAlive) return
    this.#excuses.push({ fromMs: this.#common.monotonicMs(), toMs: Infinity })
  }

  /** A start releases what it finds before it does anything else. */
  #endExcuses(): void {
    const endMs = this.#common.monotonicMs() + START_MS
    for (const excuse of this.#excuses) if (excuse.toMs === Infinity) excuse.toMs = endMs
  }

  async #open(process: SimulatedProcess, plan: RunPlan): Promise<Repository> {
    const view = new StoreView(this.#store, plan.store, this.#dice.fork(`store ${this.#runs}`))
    const dice = this.#dice.fork(`repository ${this.#runs}`)
    const repository = await openStore(view, process.clock, dice)
    view.begin(process)
    return repository
  }

  #settle(ended: BackupSummary | string): void {
    const { tally } = this.#options
    this.#note(typeof ended === 'string' ? ended : `${ended.result.grade}: ` +
      ended.result.reasons.map(({ sentence }) => sentence).join(' '))
    if (typeof ended === 'string') {
      tally.count(ended)
      return
    }
    const truth = this.#machine.instants.get(ended.pointId)
    assert.ok(truth !== undefined, 'a point without an instant')
    assertHonest(this.#machine, truth, ended.result)
    tally.count(ended.result.grade)
    if ('snapshotId' in ended.stored) this.#stored.set(ended.pointId, ended.result.grade)
  }

  /** The next start releases everything that any run has left, and the store is whole. */
  async #nextStart(): Promise<void> {
    const plan = calmRun(this.#dice.fork('recovery'))
    this.#behave(plan)
    const process = this.#process(plan)
    const requestor = new Requestor({
      process, common: this.#common, machine: this.#machine, tracking: this.#tracking, plan,
      repository: undefined, dice: this.#dice.fork('recovery run'),
      moment: () => {}, note: this.#note })
    this.#note('the next start')
    this.#endExcuses()
    await this.#common.runUntil(this.#recover(requestor))
    const { guest, left, runDir, sockets } = this.#machine
    assert.equal(guest.isFrozen, false, 'the guest is still frozen after the next start')
    assert.deepEqual([...left], [], 'something is left in the machine')
    const records = listRecords(runDir)
      .filter(({ record }) => record.sockets.agent === sockets.agent)
    assert.deepEqual(records, [], 'a record of a hold is left')
  }

  /** As an operator does, who waits while a guardian of an earlier run is still at work. */
  async #recover(requestor: Requestor): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      try {
        await requestor.recover(NEVER)
        return
      } catch (error) {
        if (!isFault(error, 'machine-busy')) throw error
        await this.#common.sleep(10_000, NEVER)
      }
    }
    assert.fail('the machine stays busy')
  }

  /** Long after, when locks are stale whatever became of the wall clock. */
  async #cleanUp(): Promise<void> {
    await this.#common.runFor(DAY_MS)
    // A check has threads of its own, so that its time goes on with the turns of the event loop.
    const clock = new SimulatedClock(this.#common.nowMs())
    const repository = await openStore(this.#store, clock, this.#dice.fork('operator'))
    await clock.runUntil(assertNothingLeft(repository), 300)
    await this.#lookAtPoints()
  }

  /** Every point said to be stored is there, honest, and byte for byte what was captured. */
  async #lookAtPoints(): Promise<void> {
    const repository = await openStore(this.#store, this.#common, this.#dice.fork('judge'))
    const points = await readPoints(repository)
    const found = new Set(points.map(({ pointId }) => pointId))
    for (const id of this.#stored.keys()) assert.ok(found.has(id), `the point ${id} is gone`)
    const runs = new Set([...this.#runOf].filter(([id]) => found.has(id)).map(([, run]) => run))
    for (const { plan, told } of this.#machine.guest.applications) {
      // It may have dropped what it kept for that point.
      for (const run of told) assert.ok(runs.has(run), `${plan.name} was told of no point`)
    }
    for (const point of points) {
      const truth = this.#machine.instants.get(point.pointId)
      assert.ok(truth !== undefined, `nobody captured ${point.pointId}`)
      assertHonest(this.#machine, truth, point.result)
      const { grade } = point.result
      assert.equal(grade, this.#stored.get(point.pointId) ?? grade, 'it was sealed as another')
      assertRestorable(point, truth, await restore(repository, point))
    }
  }
}

/** The code of an expected failure; a mistake of ours is thrown. */
function codeOf(error: unknown): string {
  if (error instanceof Fault) return error.code
  throw error
}

/** How much longer a release may take because the agent is slow. */
function slackOf({ habits }: RunPlan): number {
  const { freezeTakesMs, thawTakesMs, answersLaterMs } = habits
  return 1500 + freezeTakesMs + thawTakesMs + 4 * answersLaterMs
}
