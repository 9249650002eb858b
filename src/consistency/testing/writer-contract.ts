/** What every Writer must do; run by each implementation and by the fake. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { PreparedWriter, Writer } from '../writer.ts'

/** A writer with one application of its kind, which each test begins thawed. */
export interface WriterBench extends AsyncDisposable {
  readonly writer: Writer
  /** Asked past the writer: is the application held? */
  readonly isHeld: () => Promise<boolean>
}

/** `make` gives a bench for each test; it may give one application to all of them. */
export function writerContract(name: string, make: () => Promise<WriterBench>): void {
  suite(`${name} fulfils the writer contract`, () => {
    const bench = (
      title: string, run: (prepared: PreparedWriter, it: WriterBench) => Promise<void>): void => {
      test(title, async () => {
        await using it = await make()
        const [application] = await it.writer.discover(never())
        assert.ok(application !== undefined)
        await using prepared = await it.writer.prepare(application, never())
        await run(prepared, it)
        assert.equal(await it.isHeld(), false, 'the application was left held')
      })
    }

    bench('it states what it holds, holds until the thaw, and states that', async (it, bench) => {
      const attempt = it.beginFreeze()
      const { statement, positions } = await attempt.held
      assert.notEqual(statement.trim(), '')
      if (it.contract.kind === 'recoverable') assert.ok(positions !== null)
      else assert.equal(await bench.isHeld(), true)
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
      assert.notEqual(outcome.statement.trim(), '')
    })

    bench('a second thaw returns the first outcome', async (it) => {
      const attempt = it.beginFreeze()
      await attempt.held
      const first = await attempt.thaw()
      assert.deepEqual(await attempt.thaw(), first)
    })

    bench('a thaw asked before the freeze is acknowledged leaves it thawed', async (it) => {
      const attempt = it.beginFreeze()
      attempt.held.catch(() => {})
      await attempt.thaw()
    })

    bench('it completes after a thaw', async (it) => {
      const attempt = it.beginFreeze()
      await attempt.held
      await attempt.thaw()
      await it.complete(never())
    })

    bench('it aborts without ever having been frozen', async (it) => {
      await it.abort(never())
    })
  })
}

function never(): AbortSignal {
  return new AbortController().signal
}
