/** What every Provider must do; run by each implementation and by the fake. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { CommittedSet, PreparedSet, Provider } from '../provider.ts'

/** A provider of one running machine with at least one disk that can be captured. */
export interface ProviderBench extends AsyncDisposable {
  readonly provider: Provider
  /** Names of what prepares and commits have left in the machine or on this host. */
  readonly left: () => Promise<readonly string[]>
  /** Makes the running machine write `bytes` at the beginning of a disk, if the bench can. */
  readonly overwrite?: (diskId: string, bytes: Uint8Array) => Promise<void>
}

const POINT_ID = '6f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'

/** `make` gives a bench for each test; it may give one machine to all of them. */
export function providerContract(name: string, make: () => Promise<ProviderBench>): void {
  suite(`${name} fulfils the provider contract`, () => {
    const bench = (title: string, run: (it: ProviderBench) => Promise<void>): void => {
      test(title, async () => {
        await using it = await make()
        await run(it)
        assert.deepEqual(await it.left(), [], 'something was left behind')
      })
    }
    const prepare = (it: ProviderBench, exclude: readonly string[] = []): Promise<PreparedSet> =>
      it.provider.prepare({ pointId: POINT_ID, exclude }, never())

    bench('disks have ids that serve as names, and are in the set or left out', async (it) => {
      await using set = await prepare(it)
      assert.ok(set.disks.length > 0)
      for (const { id, sizeBytes } of set.disks) {
        assert.match(id, /^[a-z0-9_-][a-z0-9._-]{0,63}$/)
        assert.ok(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)
      }
      const ids = [...set.disks, ...set.leftOut].map(({ id }) => id)
      assert.equal(new Set(ids).size, ids.length)
    })

    bench('an excluded disk is left out and says so', async (it) => {
      const [first, ...others] = await diskIds(it)
      assert.ok(first !== undefined)
      if (others.length === 0) {
        await assert.rejects(prepare(it, [first]), { code: 'nothing-to-back-up' })
        return
      }
      await using set = await prepare(it, [first])
      assert.deepEqual(set.disks.map(({ id }) => id), others)
      assert.equal(set.leftOut.find(({ id }) => id === first)?.reason, 'excluded')
    })

    bench('a survey finds what a prepare finds, and is no prepare', async (it) => {
      const { power, disks, leftOut, freezing } = await it.provider.survey([], never())
      assert.deepEqual(await it.left(), [])
      await using set = await prepare(it)
      assert.deepEqual([power, disks, leftOut], [set.power, set.disks, set.leftOut])
      if (set.heldBy === 'platform') assert.ok('by' in freezing && freezing.by === 'platform')
      else assert.equal('missing' in freezing, 'missing' in set.freezer)
      const [first, ...others] = disks
      assert.ok(first !== undefined)
      if (others.length === 0) return
      assert.deepEqual((await it.provider.survey([first.id], never())).disks, others)
    })

    bench('a prepare that is not wanted any more ends with the reason', async (it) => {
      const reason = new Error('changed my mind')
      await assert.rejects(
        it.provider.prepare({ pointId: POINT_ID, exclude: [] }, AbortSignal.abort(reason)), reason)
    })

    bench('a set that was never committed is released, once and again', async (it) => {
      const set = await prepare(it)
      await set[Symbol.asyncDispose]()
      await set[Symbol.asyncDispose]()
    })

    bench('captured disks have their sizes and can be read to the end', async (it) => {
      await using set = await prepare(it)
      const committed = await commitSet(set, never())
      assert.notEqual(committed.method, '')
      for (const { id, sizeBytes } of set.disks) {
        await using source = await committed.open(id, never())
        assert.equal(source.sizeBytes, sizeBytes)
        const length = Math.min(512, sizeBytes)
        assert.equal((await source.read(sizeBytes - length, length, never())).length, length)
      }
      assert.deepEqual(await committed.stillIntact(never()), { intact: true })
      assert.deepEqual(await set.recheck(never()), [])
    })

    bench('what the machine writes afterwards is not in the set', async (it) => {
      if (it.overwrite === undefined) return
      await using set = await prepare(it)
      const [disk] = set.disks
      assert.ok(disk !== undefined)
      const length = Math.min(4096, disk.sizeBytes)
      const committed = await commitSet(set, never())
      await using source = await committed.open(disk.id, never())
      const before = await source.read(0, length, never())
      await it.overwrite(disk.id, before.map((byte) => byte ^ 0xff))
      assert.deepEqual(await source.read(0, length, never()), before)
      await it.overwrite(disk.id, before)
    })

    bench('a commit that is not wanted any more leaves nothing but what disposing releases',
      async (it) => {
        await using set = await prepare(it)
        await assert.rejects(commitSet(set, AbortSignal.abort(new Error('changed my mind'))))
      })

    bench('a machine can be backed up again', async (it) => {
      for (let round = 0; round < 2; round++) {
        await using set = await prepare(it)
        await commitSet(set, never())
      }
    })
  })
}

/** Takes the set, whoever holds it. */
export function commitSet(set: PreparedSet, signal: AbortSignal): Promise<CommittedSet> {
  return set.heldBy === 'platform' ? set.commitQuiesced('if-possible', signal) : set.commit(signal)
}

async function diskIds(it: ProviderBench): Promise<readonly string[]> {
  await using set = await it.provider.prepare({ pointId: POINT_ID, exclude: [] }, never())
  return set.disks.map(({ id }) => id)
}

function never(): AbortSignal {
  return new AbortController().signal
}
