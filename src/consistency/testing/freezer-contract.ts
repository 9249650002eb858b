/** What every FileSystemFreezer must do; run by each implementation and by the fake. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { FileSystemFreezer, FreezeLimits } from '../freezer.ts'

/** A freezer with a guest of its own, which each test begins thawed. */
export interface FreezerBench extends AsyncDisposable {
  readonly freezer: FileSystemFreezer
  /** Asked past the freezer: is anything in the guest frozen? */
  readonly isFrozen: () => Promise<boolean>
}

const LIMITS: FreezeLimits = { freezeMs: 30_000, holdMs: 20_000, thawMs: 20_000 }

/** `make` gives a bench for each test; it may give one guest to all of them. */
export function freezerContract(name: string, make: () => Promise<FreezerBench>): void {
  suite(`${name} fulfils the freezer contract`, () => {
    const bench = (title: string, run: (it: FreezerBench) => Promise<void>): void => {
      test(title, async () => {
        await using it = await make()
        await run(it)
      })
    }

    bench('it lists file systems by mountpoint and type', async ({ freezer }) => {
      const list = await freezer.fileSystems(never())
      assert.ok(list.length > 0)
      for (const { mountpoint, type } of list) assert.ok(mountpoint !== '' && type !== '')
    })

    bench('a list that is not wanted any more ends with the reason', async ({ freezer }) => {
      const reason = new Error('changed my mind')
      await assert.rejects(freezer.fileSystems(AbortSignal.abort(reason)), reason)
    })

    bench('it freezes, says how many, and thaws as many', async ({ freezer, isFrozen }) => {
      const attempt = freezer.beginFreeze(LIMITS)
      const { count } = await attempt.held
      assert.ok(count > 0)
      assert.equal(await isFrozen(), true)
      const outcome = await attempt.thaw()
      assert.equal(await isFrozen(), false)
      assert.ok(outcome.state === 'thawed')
      assert.deepEqual([outcome.count, outcome.early], [count, false])
      assert.ok(outcome.issuedMs <= outcome.acknowledgedMs)
    })

    bench('a second thaw returns the first outcome', async ({ freezer }) => {
      const attempt = freezer.beginFreeze(LIMITS)
      await attempt.held
      const [first, second] = await Promise.all([attempt.thaw(), attempt.thaw()])
      assert.deepEqual(second, first)
      assert.deepEqual(await attempt.thaw(), first)
    })

    bench('a thaw asked before the freeze is acknowledged leaves the guest thawed',
      async ({ freezer, isFrozen }) => {
        const attempt = freezer.beginFreeze(LIMITS)
        attempt.held.catch(() => {})
        await attempt.thaw()
        assert.equal(await isFrozen(), false)
      })

    bench('it freezes again after a thaw', async ({ freezer, isFrozen }) => {
      for (let round = 0; round < 2; round++) {
        const attempt = freezer.beginFreeze(LIMITS)
        await attempt.held
        assert.equal((await attempt.thaw()).state, 'thawed')
      }
      assert.equal(await isFrozen(), false)
    })
  })
}

function never(): AbortSignal {
  return new AbortController().signal
}
