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
  report('held ms', held)
  report('stalled ms', stalled)
  const { heldMedianMs, heldP99Ms } = budgets.hold
  const isOver = at(held, 0.5) > heldMedianMs || at(held, 0.99) > heldP99Ms
  console.log(`budget: median ${heldMedianMs}, 99 % ${heldP99Ms}: ${isOver ? 'OVER' : 'kept'}`)
} finally {
  await rm(folder, { recursive: true, force: true })
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

function report(name: string, values: readonly number[]): void {
  const shown = [0.5, 0.9, 0.99, 1].map((share) => at(values, share).toFixed(1).padStart(8))
  console.log(`${name.padEnd(12)}${shown.join('')}   (median, 90 %, 99 %, most; ${runs} runs)`)
}
