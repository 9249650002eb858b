/**
 * How long writes are held: 200 captures of the tiny guest under load, two disks, nothing read.
 * `tools/node bench/hold.ts [RUNS]`. Prints medians and the 99th percentile beside the budget.
 */

import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom as random, uuid } from '../src/base/random.ts'
import { heldMs, holdAndCommit, stalledMs } from '../src/consistency/mod.ts'
import { startGuest } from '../src/demo/mod.ts'
import { openQemuPlatform } from '../src/providers/mod.ts'
import { at, spread } from './spread.ts'

const runs = Number(process.argv[2] ?? 200)
const limits = { freezeMs: 30_000, holdMs: 5_000, thawMs: 30_000 }
const signal = new AbortController().signal
const folder = await mkdtemp(join(tmpdir(), 'sp-bench-'))
try {
  await using guest = await startGuest({ kind: 'tiny', folder }, clock, signal)
  await guest.waitUntilReady(signal)
  const held: number[] = []
  const stalled: number[] = []
  for (let run = 0; run < runs; run++) {
    await using platform = await openQemuPlatform({
      qmp: guest.qmpSocket, guardianQmp: guest.secondQmpSocket, name: 'tiny',
      ...(guest.agentSocket === undefined ? {} : { agent: guest.agentSocket }),
      runDir: join(folder, 'run') }, { clock, random, log: silentLog }, signal)
    await using set = await platform.provider('tiny')
      .prepare({ pointId: uuid(random), exclude: [] }, signal)
    const { hold } = await holdAndCommit({
      set, writers: [], limits, mayFreeze: true, whenFreezeFails: 'fail', clock,
      note: () => {} }, signal)
    held.push(heldMs(hold) ?? NaN)
    stalled.push(stalledMs(hold) ?? NaN)
  }
  const budgets = JSON.parse(
    readFileSync(new URL('budgets.json', import.meta.url), 'utf8')) as {
    readonly hold: { readonly heldMedianMs: number; readonly heldP99Ms: number } }
  console.log(spread('held ms', held))
  console.log(spread('stalled ms', stalled))
  const { heldMedianMs, heldP99Ms } = budgets.hold
  const isOver = at(held, 0.5) > heldMedianMs || at(held, 0.99) > heldP99Ms
  console.log(`budget: median ${heldMedianMs}, 99 % ${heldP99Ms}: ${isOver ? 'OVER' : 'kept'}`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
