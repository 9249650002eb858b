/** Guardians that die while something is held, as often as it takes. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Fault } from '../../base/fault.ts'
import { processStart } from '../../base/process-mark.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { temporaryFolder } from '../testing/mod.ts'
import { Guard } from './guard.ts'
import type { RunningGuardian } from './guardian-process.ts'
import type { GuardianRequest } from './protocol.ts'
import { removeRecord, writeRecord } from './record.ts'

/** Answers until `kill`; `onAsk` is told each request. */
class MortalGuardian implements RunningGuardian {
  readonly pid = 1
  readonly #ended = Promise.withResolvers<void>()
  readonly #onAsk: (guardian: MortalGuardian, request: GuardianRequest) => unknown
  isAlive = true
  isDisposed = false

  constructor(onAsk: (guardian: MortalGuardian, request: GuardianRequest) => unknown) {
    this.#onAsk = onAsk
  }

  get ended(): Promise<void> {
    return this.#ended.promise
  }

  onEvent(): Disposable {
    return { [Symbol.dispose]: () => {} }
  }

  async ask(request: GuardianRequest): Promise<unknown> {
    const value = this.isAlive ? await this.#onAsk(this, request) : undefined
    if (!this.isAlive) throw new Fault('guardian-failed', 'it ended')
    return value
  }

  kill(): void {
    this.isAlive = false
    this.#ended.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true
    this.kill() // or it goes on unheard, which looks the same from here
  }
}

/** A guard whose guardians do `onAsk`; how many were started. */
function guardOf(
  onAsk: (guardian: MortalGuardian, request: GuardianRequest, nth: number) => unknown,
  recordFile = '/record',
): { readonly guard: Guard; readonly started: () => number } {
  let count = 0
  const guard = new Guard({
    sockets: { agent: '/agent', qmp: undefined, guardianQmp: undefined }, recordFile,
    nodePrefix: '', clock: new ManualClock(), settings: {},
    start: () => {
      const nth = ++count
      return new MortalGuardian((guardian, request) => onAsk(guardian, request, nth))
    },
  })
  return { guard, started: () => count }
}

const LIMITS = { freezeMs: 1000, holdMs: 1000, thawMs: 1000 }
const NOTHING = { onThawIssued: () => {}, onThawAnswered: () => {} }
const THAWED = { state: 'thawed', count: 3, early: true }

test('a replacement that dies is replaced in its turn', async () => {
  const { guard, started } = guardOf((guardian, request, nth) => {
    if (request.do === 'freeze') return { count: 3 }
    if (nth < 4) guardian.kill()
    return THAWED
  })
  await guard.freeze(LIMITS, NOTHING)
  assert.deepEqual(await guard.thaw(1000), THAWED)
  assert.equal(started(), 4)
})

test('a guardian that goes on trying is replaced when it dies', async () => {
  let first: MortalGuardian | undefined
  const { guard, started } = guardOf((guardian, request, nth) => {
    if (nth === 1) first = guardian
    if (request.do === 'freeze') return { count: 3 }
    return nth === 1 ? { state: 'unknown', detail: 'not shown yet' } : THAWED
  })
  await guard.freeze(LIMITS, NOTHING)
  assert.deepEqual(await guard.thaw(1000), { state: 'unknown', detail: 'not shown yet' })
  first?.kill()
  await new Promise(setImmediate)
  assert.equal(started(), 2)
})

test('replacing ends where every replacement dies', async () => {
  const { guard, started } = guardOf((guardian, request) => {
    if (request.do === 'freeze') return { count: 3 }
    guardian.kill()
    return THAWED
  })
  await guard.freeze(LIMITS, NOTHING)
  const { state } = await guard.thaw(1000)
  assert.equal(state, 'unknown')
  assert.ok(started() <= 20, `${started()} guardians were started`)
})

test('a replacement that comes after the guard was disposed is let go', async () => {
  const thawed = Promise.withResolvers<unknown>()
  const all: MortalGuardian[] = []
  const { guard } = guardOf((guardian, request, nth) => {
    all[nth] = guardian
    if (request.do === 'freeze') return { count: 3 }
    return nth === 1 ? thawed.promise : THAWED
  })
  await guard.freeze(LIMITS, NOTHING)
  const thaw = guard.thaw(1000)
  await guard[Symbol.asyncDispose]()
  all[1]?.kill()
  thawed.resolve(undefined)
  assert.deepEqual(await thaw, THAWED)
  assert.equal(all[2]?.isDisposed, true)
})

for (const [what, pid, started] of [
  ['that dies while it still thaws is replaced', 2 ** 30, 2],
  ['that lives and still thaws is left to it', process.pid, 1],
] as const) {
  test(`at the end of the backup a guardian ${what}`, async () => {
    await using folder = await temporaryFolder()
    const recordFile = join(folder.path, 'a.hold.json')
    const scene = guardOf((_guardian, request) => {
      if (request.do === 'recover') removeRecord(recordFile)
      return request.do === 'freeze' ? { count: 3 } : { state: 'unknown', detail: 'not yet' }
    }, recordFile)
    await scene.guard.freeze(LIMITS, NOTHING)
    writeRecord(recordFile, {
      version: 1, pid, pidStart: processStart(pid), machineRun: '', frozenSinceMs: 1,
      stoppedSinceMs: undefined, sockets: {
        agent: '/agent', qmp: undefined, guardianQmp: undefined } }, false)
    await scene.guard.thaw(1000)
    await scene.guard[Symbol.asyncDispose]()
    assert.equal(scene.started(), started)
  })
}
