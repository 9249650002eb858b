/**
 * The life of one seed: a machine, a store, and a requestor that is started again and again. First
 * perhaps a calm run, then one or two in which things go wrong, then the next start, which has to
 * clean up, and perhaps a calm run again.
 */

import assert from 'node:assert/strict'
import { Fault, isFault } from '../../../src/base/fault.ts'
import { silentLog } from '../../../src/base/log.ts'
import { Secret } from '../../../src/base/secret.ts'
import type { BackupSummary } from '../../../src/backup/mod.ts'
import { readRestorePoints, type RestorePoint } from '../../../src/catalog/mod.ts'
import { FakeTracking } from '../../../src/consistency/testing/mod.ts'
import { listRecords } from '../../../src/providers/testing/mod.ts'
import {
  initRepository, openDiskImage, openRepository, type Repository,
} from '../../../src/repository/mod.ts'
import type { Storage } from '../../../src/storage/mod.ts'
import { openMemoryStorage } from '../../../src/storage/testing/mod.ts'
import { Dice } from './dice.ts'
import { armEvents, PATIENCE_MS } from './events.ts'
import {
  assertDeadlinesKept, assertHonest, assertRestorable, bestGrade, type Excuse,
} from './judge.ts'
import { ModelMachine } from './model-machine.ts'
import { StoreView } from './model-store.ts'
import { calmRun, troubledRun, type RunPlan } from './plan-of-faults.ts'
import { SimulatedProcess } from './process.ts'
import { Requestor } from './requestor.ts'
import { Tally } from './tally.ts'
import { NEVER, VirtualClock } from './virtual-clock.ts'

const CHEAP = { N: 2, r: 1, p: 1 }
/** For whatever was given up to come to its end. */
const AFTERMATH_MS = 120_000
/** For a start to come to the release of what an earlier one left. */
const START_MS = 2000

export interface LifeOptions {
  /** An empty folder for the guardians' records. */
  readonly runDir: string
  readonly tally: Tally
  /** Told what happens, with the virtual time. */
  readonly note?: (atMs: number, text: string) => void
}

/** Lives one seed; throws where an invariant does not hold. */
export async function live(seed: number, options: LifeOptions): Promise<void> {
  await new Life(seed, options).run()
}

class Life {
  readonly #options: LifeOptions
  readonly #dice: Dice
  readonly #common = new VirtualClock()
  readonly #store = openMemoryStorage()
  readonly #tracking = new FakeTracking()
  readonly #machine: ModelMachine
  readonly #excuses: Excuse[] = []
  /** Points whose runs said that they were stored. */
  readonly #stored = new Set<string>()
  #runs = 0
  /** By the point's id. */
  readonly #runOf = new Map<string, number>()
  #slackMs = 1500
  #silentFromMs: number | undefined

  constructor(seed: number, options: LifeOptions) {
    this.#options = options
    this.#dice = new Dice(seed)
    this.#machine = new ModelMachine(
      `seed-${seed}`, options.runDir, this.#dice.fork('machine'), this.#common, this.#note)
  }

  readonly #note = (text: string): void => {
    this.#options.note?.(this.#common.monotonicMs(), text)
  }

  async run(): Promise<void> {
    const dice = this.#dice.fork('runs')
    await fillStore(this.#store)
    if (dice.chance(0.5)) await this.#backUpCalmly()
    for (let troubled = dice.pick([1, 1, 2]); troubled > 0; troubled--) {
      const plan = troubledRun(this.#dice.fork(`faults ${troubled}`), this.#machine.plan)
      await this.#backUp(plan)
      await this.#common.runFor(dice.pick([0, 0, 5000, AFTERMATH_MS]))
    }
    await this.#nextStart()
    await this.#common.runFor(AFTERMATH_MS)
    if (dice.chance(0.3)) await this.#backUpCalmly()
    assertDeadlinesKept(this.#machine, this.#excuses, this.#slackMs)
    await this.#lookAtPoints()
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
    this.#behave(plan)
    this.#slackMs = Math.max(this.#slackMs, slackOf(plan))
    if (machine.agent !== undefined) {
      machine.agent.run = this.#runs
      machine.agent.troubleOf = plan.troubleOf
      machine.agent.fates = plan.fates
    }
    const process = this.#process(plan)
    const controller = new AbortController()
    const moment = armEvents({
      plan, machine, common: this.#common, process, controller, excuses: this.#excuses,
      note: this.#note, onEvent: (kind) => this.#options.tally.count(kind),
      onDeath: () => this.#excuseIfAllDead(process) })
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
    const { agent, guardians } = this.#machine
    const process: SimulatedProcess = new SimulatedProcess({
      common: this.#common, note: this.#note, dieAt: plan.dieAt, onDeath: () => {
        for (const { guardian, of } of guardians) if (of === process) guardian.requestorGone()
        agent?.requestorDied(plan.closeIsTold)
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
    const random = this.#dice.fork(`repository ${this.#runs}`).bytes
    const repository = await openRepository(view, {
      password: PASSWORD, hostname: 'sim', clock: process.clock, random, log: silentLog }, NEVER)
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
    if ('snapshotId' in ended.stored) this.#stored.add(ended.pointId)
  }

  /** The next start releases everything that any run has left, and the store is whole. */
  async #nextStart(): Promise<void> {
    const plan = calmRun(this.#dice.fork('recovery'))
    this.#behave(plan)
    const process = this.#process(plan)
    const requestor = new Requestor({
      process, common: this.#common, machine: this.#machine, tracking: this.#tracking, plan,
      repository: await this.#open(process, plan), dice: this.#dice.fork('recovery run'),
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

  /** Every point said to be stored is there, honest, and byte for byte what was captured. */
  async #lookAtPoints(): Promise<void> {
    await using repository = await openBare(this.#store, this.#common)
    const points = await readPoints(repository)
    const found = new Set(points.map(({ pointId }) => pointId))
    for (const id of this.#stored) assert.ok(found.has(id), `the point ${id} is gone`)
    const runs = new Set([...this.#runOf].filter(([id]) => found.has(id)).map(([, run]) => run))
    for (const { plan, told } of this.#machine.guest.applications) {
      // It may have dropped what it kept for that point.
      for (const run of told) assert.ok(runs.has(run), `${plan.name} was told of no point`)
    }
    for (const point of points) {
      const truth = this.#machine.instants.get(point.pointId)
      assert.ok(truth !== undefined, `nobody captured ${point.pointId}`)
      assertHonest(this.#machine, truth, point.result)
      assertRestorable(point, truth, await restore(repository, point))
    }
  }
}

const PASSWORD = new Secret('correct horse')

let template: Promise<Storage> | undefined

/** Makes a repository; the same one each time, as to make one is the dearest part of a life. */
async function fillStore(store: Storage): Promise<void> {
  template ??= (async () => {
    const made = openMemoryStorage()
    await initRepository(made, {
      password: PASSWORD, hostname: 'sim', username: 'sim', clock: new VirtualClock(),
      random: new Dice(1).bytes, scryptCost: CHEAP }, NEVER)
    return made
  })()
  for (const kind of ['config', 'keys'] as const) {
    for await (const { name } of (await template).list(kind, NEVER)) {
      const bytes = await (await template).get({ kind, name }, {}, NEVER)
      await store.put({ kind, name }, [bytes], NEVER)
    }
  }
}

function openBare(store: Storage, clock: VirtualClock): Promise<Repository> {
  return openRepository(store, {
    password: PASSWORD, hostname: 'judge', clock, random: new Dice(1).bytes, log: silentLog,
  }, NEVER)
}

async function readPoints(repository: Repository): Promise<readonly RestorePoint[]> {
  return (await readRestorePoints(repository, NEVER)).map((point) => {
    assert.ok(point.state === 'readable', 'a point is damaged')
    return point
  })
}

async function restore(
  repository: Repository, { disks }: RestorePoint): Promise<ReadonlyMap<string, Uint8Array>> {
  const restored = new Map<string, Uint8Array>()
  for (const disk of disks) {
    await using image = openDiskImage(repository, disk.treeId, disk)
    restored.set(disk.id, await image.read(0, disk.sizeBytes, NEVER))
  }
  return restored
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
