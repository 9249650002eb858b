/** The machine's end of hooks in virtual time: what is held, how long, and what is said of it. */

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { suite, test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import type { ApplicationHost, HookedApplication } from '../consistency/mod.ts'
import { drive, FakeWriter, type FakeWriterOptions } from '../consistency/testing/mod.ts'
import { HOOK_FREEZE_MS, HookDesk, parseToken, type HookToken } from './mod.ts'

const never = new AbortController().signal
const NONCE = 'a'.repeat(32)
const OTHER = 'b'.repeat(32)
const LIMITS = { freezeMs: 1000, holdMs: 5000, thawMs: 1000 }
const RECOVERABLE = {
  kind: 'recoverable', durability: { state: 'safe', settings: 'fsync=on' } } as const

interface Wishes {
  readonly name: string
  readonly failsToFreeze?: boolean
  readonly contract?: NonNullable<FakeWriterOptions['contract']>
  readonly delayMs?: number
  readonly isUnprepared?: boolean
}

class Scene {
  readonly clock = new ManualClock()
  readonly journal: string[] = []
  readonly holds = new Set<object>()
  readonly tokens: HookToken[] = []
  readonly writers: readonly FakeWriter[]
  readonly desk: HookDesk
  discoveries = 0
  /** Set: a token is kept when it resolves. */
  disk: Promise<void> | undefined

  constructor(...wishes: readonly Wishes[]) {
    const { clock, journal } = this
    this.writers = wishes.map(({ name, ...rest }) =>
      new FakeWriter(name, { clock, journal, limits: LIMITS, ...rest }))
    const host: ApplicationHost = {
      agent: 'test', [Symbol.asyncDispose]: async () => {},
      discover: async (at) => {
        this.discoveries++
        return (await Promise.all(this.writers.map((it) => it.discover(at)))).flat()
      },
      prepare: async (application, at) => {
        if (wishes.find(({ name }) => name === application.name)?.isUnprepared === true) {
          throw new Fault('writer-failed', 'no password fits')
        }
        return this.writers.find(({ name }) => name === application.name)?.prepare(application, at)
      },
    }
    this.desk = new HookDesk({
      host, clock, bootId: 'boot', holds: this.holds,
      keep: async (token) => {
        await this.disk
        this.tokens.push(parseToken(token))
      },
    })
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return drive(this.clock, promise)
  }

  /** Time passes, and what it sets off is done. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms)
    for (let step = 0; step < 50; step++) {
      await setImmediate()
      this.clock.advance(1)
    }
  }

  get heldOnes(): readonly string[] {
    return this.writers.flatMap(({ name, isFrozen }) => isFrozen ? [name] : [])
  }

  said(name: string): HookedApplication {
    return this.tokens.at(-1)?.applications.get(name) ?? assert.fail(`nothing of ${name}`)
  }

  get states(): readonly string[] {
    return this.tokens.map(({ nonce, count, state }) => `${state} ${count} ${nonce?.[0] ?? '-'}`)
  }
}

suite('announced', () => {
  test('prepares before the freeze, freezes what is locked last, and completes the token',
    async () => {
      const s = new Scene({ name: 'redis' }, { name: 'postgres', contract: RECOVERABLE })
      const announced = await s.run(s.desk.announce(NONCE, never))
      assert.deepEqual([...announced.keys()], ['redis', 'postgres'])
      assert.deepEqual([s.heldOnes, s.tokens], [[], []])
      assert.equal(await s.run(s.desk.freeze(never)), 'held: postgres, redis')
      assert.deepEqual([s.heldOnes, s.states], [['redis', 'postgres'], ['frozen 1 a']])
      assert.deepEqual(s.said('postgres'), { thawed: null, heldMs: null, held: {
        statement: 'locked', positions: { beforeCheckpoint: '0/10', atFreeze: '0/20' } } })
      await s.pass(2000)
      assert.equal(await s.run(s.desk.thaw()), 'released: postgres, redis')
      assert.deepEqual([s.heldOnes, s.states.at(-1), s.holds.size], [[], 'thawed 1 a', 0])
      assert.deepEqual(s.journal.slice(0, 4),
        ['freeze postgres', 'freeze redis', 'thaw redis', 'thaw postgres'])
      const { thawed, heldMs } = s.said('redis')
      assert.ok(thawed?.state === 'thawed' && thawed.heldThroughout)
      assert.ok(heldMs !== null && heldMs >= 2000 && heldMs < 3000, String(heldMs))
      assert.equal(await s.run(s.desk.thaw()), 'nothing was held for the hook')
    })

  test('a list that was just asked for is not asked for again', async () => {
    const s = new Scene({ name: 'redis' })
    await s.run(s.desk.discover(never))
    await s.run(s.desk.announce(NONCE, never))
    assert.equal(s.discoveries, 1)
    await s.pass(60_001)
    await s.run(s.desk.announce(OTHER, never))
    assert.equal(s.discoveries, 2)
  })

  test('one that cannot be prepared is told, and the others are held', async () => {
    const s = new Scene({ name: 'redis' }, { name: 'mariadb', isUnprepared: true })
    const announced = await s.run(s.desk.announce(NONCE, never))
    const fault = announced.get('mariadb')
    assert.ok(fault instanceof Fault && fault.message === 'no password fits')
    assert.equal(await s.run(s.desk.freeze(never)), 'held: redis')
  })

  test('and forgotten, or never followed by a freeze, it is released', async () => {
    const s = new Scene({ name: 'redis' })
    await s.run(s.desk.announce(NONCE, never))
    await s.run(s.desk.forget(OTHER))
    assert.equal(s.writers[0]?.told, 'nothing')
    await s.run(s.desk.forget(NONCE))
    assert.equal(s.writers[0]?.told, 'abort')
    const late = new Scene({ name: 'redis' })
    await late.run(late.desk.announce(NONCE, never))
    await late.pass(600_000)
    assert.equal(late.writers[0]?.told, 'abort')
    await late.run(late.desk.freeze(never))
    assert.deepEqual(late.states, ['frozen 1 -']) // nobody's
  })

  test('a nonce is good for one freeze', async () => {
    const s = new Scene({ name: 'redis' })
    await s.run(s.desk.announce(NONCE, never))
    for (const act of ['freeze', 'thaw', 'freeze', 'thaw'] as const) {
      await s.run(act === 'freeze' ? s.desk.freeze(never) : s.desk.thaw())
    }
    assert.deepEqual(s.states, ['frozen 1 a', 'thawed 1 a', 'frozen 2 -', 'thawed 2 -'])
  })

  test('in the hold of another it is refused, and that one goes on', async () => {
    const s = new Scene({ name: 'redis' })
    await s.run(s.desk.freeze(never))
    await assert.rejects(s.run(s.desk.announce(NONCE, never)), { code: 'machine-busy' })
    assert.deepEqual(s.heldOnes, ['redis'])
  })
})

suite('a freeze', () => {
  test('that one does not hold still for lets all go and fails, and the token says who',
    async () => {
      const s = new Scene({ name: 'postgres', contract: RECOVERABLE },
        { name: 'redis', failsToFreeze: true }, { name: 'mariadb' })
      await s.run(s.desk.announce(NONCE, never))
      await assert.rejects(s.run(s.desk.freeze(never)),
        { message: 'redis did not hold still: redis refused to hold still' })
      assert.deepEqual([s.heldOnes, s.states, s.holds.size], [[], ['failed 1 a'], 0])
      assert.deepEqual(s.said('redis').held,
        { code: 'writer-failed', message: 'redis refused to hold still' })
      assert.equal(s.tokens[0]?.applications.has('mariadb'), false) // it was not asked
      assert.equal(await s.run(s.desk.thaw()), 'nothing was held for the hook')
    })

  test('that nobody announced fails where one cannot be prepared', async () => {
    const s = new Scene({ name: 'redis' }, { name: 'mariadb', isUnprepared: true })
    await assert.rejects(s.run(s.desk.freeze(never)),
      { message: /^mariadb cannot be held: no pass/ })
    assert.deepEqual([s.heldOnes, s.writers[0]?.told], [[], 'abort'])
  })

  test('does nothing where a requestor on the port holds', async () => {
    const s = new Scene({ name: 'redis' })
    s.holds.add({})
    assert.match(await s.run(s.desk.freeze(never)), /held already/)
    assert.equal(await s.run(s.desk.thaw()), 'nothing was held for the hook')
    assert.deepEqual([s.journal, s.tokens], [[], []])
  })

  test('that passes the limit of the hook is given up', async () => {
    const s = new Scene(
      { name: 'redis', delayMs: 2 * HOOK_FREEZE_MS }, { name: 'mariadb' })
    const startMs = s.clock.monotonicMs()
    await assert.rejects(s.run(s.desk.freeze(never)), /the freeze hook did not/)
    assert.ok(s.clock.monotonicMs() - startMs >= HOOK_FREEZE_MS)
    assert.deepEqual([s.heldOnes, s.states], [[], ['failed 1 -']])
  })

  test('whose client goes away is given up, whatever it waits for', async () => {
    for (const stage of ['before', 'redis', 'token'] as const) {
      const s = new Scene({ name: 'redis', delayMs: stage === 'redis' ? 1000 : 10 })
      const client = new AbortController()
      const gone = new Fault('interrupted', 'gone')
      if (stage === 'before') client.abort(gone)
      const disk = Promise.withResolvers<void>()
      if (stage === 'token') s.disk = disk.promise
      const freeze = s.desk.freeze(client.signal)
      freeze.catch(() => {})
      await s.pass(stage === 'redis' ? 0 : 100)
      client.abort(gone)
      disk.resolve()
      await assert.rejects(s.run(freeze), /gone/, stage)
      assert.deepEqual(s.heldOnes, [], stage)
      assert.notEqual(s.states.at(-1), 'frozen 1 -', stage)
    }
  })

  test('whose token cannot be written fails, and holds nothing', async () => {
    const s = new Scene({ name: 'redis' })
    s.disk = Promise.reject(new Error('no space left'))
    s.disk.catch(() => {})
    await assert.rejects(s.run(s.desk.freeze(never)), /no space left/)
    assert.deepEqual([s.heldOnes, s.tokens], [[], []])
    const hangs = new Scene({ name: 'redis' })
    hangs.disk = new Promise(() => {})
    await assert.rejects(hangs.run(hangs.desk.freeze(never)), /writing the token did not/)
    assert.deepEqual(hangs.heldOnes, [])
  })

  test('cuts short what another announced and still prepares', async () => {
    const s = new Scene({ name: 'redis' })
    const announced = s.desk.announce(NONCE, never)
    const freeze = s.desk.freeze(never)
    await assert.rejects(s.run(announced), { code: 'interrupted' })
    await s.run(freeze)
    assert.deepEqual(s.states, ['frozen 1 -'])
  })
})

suite('a thaw that does not come', () => {
  test('leaves nothing held a second past the limit, and is said when it comes at last',
    async () => {
      const s = new Scene({ name: 'redis' })
      await s.run(s.desk.announce(NONCE, never))
      await s.run(s.desk.freeze(never))
      await s.pass(LIMITS.holdMs)
      assert.deepEqual(s.heldOnes, ['redis'])
      await s.pass(1000)
      assert.deepEqual([s.heldOnes, s.states], [[], ['frozen 1 a']]) // no file is touched
      await s.pass(10_000)
      assert.equal(s.writers[0]?.told, 'abort')
      await s.run(s.desk.thaw())
      const { thawed } = s.said('redis')
      assert.ok(thawed?.state === 'thawed' && !thawed.heldThroughout)
      assert.match(thawed.statement, /^released by the agent at its limit/)
    })

  test('does not keep the next freeze from being its own', async () => {
    for (const afterMs of [0, 30_000]) {
      const s = new Scene({ name: 'redis' })
      await s.run(s.desk.announce(NONCE, never))
      await s.run(s.desk.freeze(never))
      await s.pass(afterMs)
      await s.run(s.desk.freeze(never))
      await s.run(s.desk.thaw())
      assert.deepEqual(s.states, ['frozen 1 a', 'frozen 2 -', 'thawed 2 -'])
      assert.deepEqual(s.heldOnes, [])
    }
  })

  test('ends with the agent', async () => {
    const s = new Scene({ name: 'redis' })
    await s.run(s.desk.freeze(never))
    await s.run(s.desk.end())
    assert.deepEqual([s.heldOnes, s.holds.size], [[], 0])
  })
})
