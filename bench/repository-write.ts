/**
 * A full backup, a check of all data, a restore and an increment of the reference image, ours
 * beside restic's and borg's, in one run:
 * `tools/node bench/repository-write.ts [--mib 4096] [--reps 3] [--dir /tmp] [--way NAME]…`.
 *
 * Verification alike: the newest restic reads back what it has sealed, as ours does by default;
 * Debian's does not, and is compared with ours not verifying. Each restores as it does by itself:
 * restic writes zeros too unless it is told to leave them out, which one of its ways is; ours
 * leaves them out and syncs the image. An increment of ours is told what changed, as a hypervisor
 * tells it; the peers read all of the image again, as they have to.
 * Each measure is also told as it comes, on stderr.
 */

import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findWays, STEPS, type Step, type Way } from './disk-ways.ts'
import { folderBytes, median, row, type Cost } from './measure.ts'
import { changeImage, writeReferenceImage } from './reference-image.ts'

const { values } = parseArgs({ options: {
  mib: { type: 'string', default: '1024' },
  reps: { type: 'string', default: '3' },
  dir: { type: 'string', default: tmpdir() },
  seed: { type: 'string', default: '1' },
  way: { type: 'string', multiple: true },
} })
const sizeBytes = Number(values.mib) * 1024 * 1024
const folder = mkdtempSync(join(values.dir, 'stillpoint-bench-'))
const at = (name: string): string => join(folder, name)
const places = {
  folder, sizeBytes, repo: at('repo'), image: at('image'), later: at('later'), out: at('out') }

interface Measures {
  readonly way: Way
  readonly costs: Readonly<Record<Step, Cost[]>>
  repositoryBytes: number
}

try {
  await writeReferenceImage(places.image, sizeBytes, Number(values.seed))
  copyFileSync(places.image, places.later)
  const changed = await changeImage(places.later, sizeBytes, 0.01, Number(values.seed) + 1)
  const all = findWays(places)
    .filter(({ name }) => values.way === undefined || values.way.includes(name))
    .map((way): Measures => ({
      way, costs: { store: [], check: [], restore: [], increment: [] }, repositoryBytes: NaN }))
  for (let rep = 0; rep < Number(values.reps); rep++) {
    for (const measures of all) round(measures, changed)
  }
  report(all)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function round(measures: Measures, changed: readonly number[]): void {
  const { way, costs } = measures
  way.init()
  for (const step of STEPS) {
    const cost = way.run(step, changed)
    costs[step].push(cost)
    console.error(row(`${step} ${way.name}`, cost))
    if (step === 'store') measures.repositoryBytes = folderBytes(places.repo)
    rmSync(places.out, { recursive: true, force: true })
  }
  for (const name of ['repo', 'cache', 'borg']) rmSync(at(name), { recursive: true, force: true })
}

function report(all: readonly Measures[]): void {
  console.log(`${values.mib} MiB, medians of ${values.reps}              wall s   CPU s RSS MiB`)
  for (const step of STEPS) {
    for (const measures of all) {
      const { way, costs, repositoryBytes } = measures
      const cost = median(costs[step])
      const notes = [
        ...ratios(step, measures, all),
        ...(step === 'store' ? [`${(repositoryBytes / 2 ** 20).toFixed(0)} MiB stored`] : []),
        ...(step === 'restore' ? [`${(Number(values.mib) / cost.wallS).toFixed(0)} MiB/s`] : []),
      ]
      console.log(row(`${step} ${way.name}`, cost, notes.join(', ')))
    }
  }
  const kept = Object.entries(budgets(all)).map(([what, [value, limit]]) => {
    // Without a peer in the run there is no ratio, and nothing is kept.
    const isMeasured = Number.isFinite(value)
    const isKept = isMeasured && value <= limit
    const word = isKept ? 'kept' : isMeasured ? 'BROKEN' : 'NOT MEASURED'
    console.log(`${word}: ${what} ${value.toFixed(2)} of ${limit}`)
    return isKept
  })
  if (kept.includes(false)) process.exitCode = 1
}

function peerOf({ way }: Measures, all: readonly Measures[]): Measures | undefined {
  return all.find((other) => other.way.name === way.peer)
}

function ratios(step: Step, measures: Measures, all: readonly Measures[]): readonly string[] {
  const peer = peerOf(measures, all)
  if (peer === undefined) return []
  const [cost, theirs] = [median(measures.costs[step]), median(peer.costs[step])]
  return [
    `wall ${(cost.wallS / theirs.wallS).toFixed(2)} ×`,
    `CPU ${(cost.cpuS / theirs.cpuS).toFixed(2)} × of ${peer.way.name}`,
  ]
}

/** What was measured and what is allowed, of the worse of our two ways; bench/budgets.json. */
function budgets(all: readonly Measures[]): Readonly<Record<string, readonly [number, number]>> {
  const limits = JSON.parse(readFileSync(join(import.meta.dirname, 'budgets.json'), 'utf8')) as
    { 'repository-write': Record<string, number> }
  const own = all.filter((measures) => peerOf(measures, all) !== undefined)
  const worst = (pick: (measures: Measures) => number): number =>
    Math.max(...own.map((measures) => pick(measures) / pick(peerOf(measures, all) ?? measures)))
  const peaks = own.flatMap(({ costs }) => STEPS.flatMap((step) => costs[step]))
  const measured: Record<string, number> = {
    storeWallOfRestic: worst(({ costs }) => median(costs.store).wallS),
    storeCpuOfRestic: worst(({ costs }) => median(costs.store).cpuS),
    repositoryOfRestic: worst(({ repositoryBytes }) => repositoryBytes),
    restoreWallOfRestic: worst(({ costs }) => median(costs.restore).wallS),
    incrementWallOfRestic: worst(({ costs }) => median(costs.increment).wallS),
    peakMiB: Math.max(...peaks.map(({ peakMiB }) => peakMiB)),
  }
  return Object.fromEntries(Object.entries(limits['repository-write']).map(([what, limit]) =>
    [what, [measured[what] ?? NaN, limit]]))
}
