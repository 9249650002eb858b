/**
 * A full backup, a restore and an increment of the reference image, ours beside restic's, in one
 * run: `tools/node bench/repository-write.ts [--mib 4096] [--reps 3] [--dir /tmp]`.
 *
 * restic 0.14 does not read back what it sealed, newer ones do: ours is measured both ways, and
 * held against the budgets (budgets.json) without. The walls mean something only on a machine that
 * does nothing else; the first round fills the page cache and is not counted.
 */

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { folderBytes, measure, median, row, type Cost, type Measured } from './measure.ts'
import { changeImage, writeReferenceImage } from './reference-image.ts'

const { values } = parseArgs({ options: {
  mib: { type: 'string', default: '1024' },
  reps: { type: 'string', default: '3' },
  dir: { type: 'string', default: tmpdir() },
  seed: { type: 'string', default: '1' },
} })
const sizeBytes = Number(values.mib) * 1024 * 1024
const folder = mkdtempSync(join(values.dir, 'stillpoint-bench-'))
const disk = join(import.meta.dirname, 'repository-disk.ts')
const [repo, image, later, out] = ['repo', 'image', 'later', 'out'].map((name) =>
  join(folder, name)) as [string, string, string, string]
const env = {
  RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(folder, 'cache'), HOME: folder,
  RESTIC_REPOSITORY: repo, NODE_NO_WARNINGS: '1',
}
const STEPS = ['store', 'restore', 'increment'] as const
type Step = (typeof STEPS)[number]

interface Way {
  readonly name: string
  /** Called in the order of `STEPS`; `restore` writes `out`. */
  readonly run: (step: Step) => Cost
  readonly costs: Record<Step, Cost[]>
  repositoryBytes: number
}

const way = (name: string, run: (step: Step) => Cost): Way =>
  ({ name, run, costs: { store: [], restore: [], increment: [] }, repositoryBytes: NaN })

const restic = way('restic', (step) => {
  switch (step) {
    case 'store': return measure('restic', ['backup', image], env)
    case 'restore': return measure('restic', ['restore', 'latest', '-t', out], env)
    case 'increment': return measure('restic', ['backup', later], env)
    default: return step satisfies never
  }
})

function ours(name: string, ...flags: readonly string[]): Way {
  const node = (...args: readonly string[]): Measured =>
    measure(process.execPath, [disk, ...args, ...flags], env)
  let tree = ''
  return way(name, (step) => {
    switch (step) {
      case 'store': {
        const measured = node('store', repo, image)
        tree = measured.stdout.trim()
        return measured
      }
      case 'restore': return node('restore', repo, tree, String(sizeBytes), out)
      case 'increment':
        return node('store', repo, later, '--base', tree, '--changed', changed.join(','))
      default: return step satisfies never
    }
  })
}

const plain = ours('ours, not verifying', '--no-verify')
const ways = [restic, plain, ours('ours, verifying')]
let changed: readonly number[] = []

try {
  await writeReferenceImage(image, sizeBytes, Number(values.seed))
  copyFileSync(image, later)
  changed = await changeImage(later, sizeBytes, 0.01, Number(values.seed) + 1)
  for (let rep = 0; rep <= Number(values.reps); rep++) for (const way of ways) round(way, rep > 0)
  report()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function round(way: Way, counts: boolean): void {
  execFileSync('restic', ['init'], { env: { ...process.env, ...env } })
  for (const step of STEPS) {
    const cost = way.run(step)
    if (counts) way.costs[step].push(cost)
    if (step === 'store') way.repositoryBytes = folderBytes(repo)
    if (step === 'restore' && way !== restic) execFileSync('cmp', [image, out])
    rmSync(out, { recursive: true, force: true })
  }
  for (const path of [repo, join(folder, 'cache')]) rmSync(path, { recursive: true, force: true })
}

function report(): void {
  console.log(`${values.mib} MiB, medians of ${values.reps}          wall s   CPU s RSS MiB`)
  for (const step of STEPS) {
    const theirs = median(restic.costs[step])
    for (const way of ways) {
      const cost = median(way.costs[step])
      const notes = [
        `wall ${(cost.wallS / theirs.wallS).toFixed(2)} ×`,
        `CPU ${(cost.cpuS / theirs.cpuS).toFixed(2)} ×`,
        ...(step === 'store' ? [`${(way.repositoryBytes / 2 ** 20).toFixed(0)} MiB stored`] : []),
        ...(step === 'restore' ? [`${(Number(values.mib) / cost.wallS).toFixed(0)} MiB/s`] : []),
      ]
      console.log(row(`${step} ${way.name}`, cost, notes.join(', ')))
    }
  }
  const kept = Object.entries(budgets()).map(([what, [value, limit]]) => {
    const isKept = value <= limit
    console.log(`${isKept ? 'kept' : 'BROKEN'}: ${what} ${value.toFixed(2)} of ${limit}`)
    return isKept
  })
  if (kept.includes(false)) process.exitCode = 1
}

/** What was measured and what is allowed; see DESIGN's budgets. */
function budgets(): Readonly<Record<string, readonly [number, number]>> {
  const limits = JSON.parse(readFileSync(join(import.meta.dirname, 'budgets.json'), 'utf8')) as
    { 'repository-write': Record<string, number> }
  const ratio = (step: Step, pick: (cost: Cost) => number): number =>
    pick(median(plain.costs[step])) / pick(median(restic.costs[step]))
  const peaks = ways.slice(1).flatMap((way) => STEPS.flatMap((step) => way.costs[step]))
  const measured: Record<string, number> = {
    storeWallOfRestic: ratio('store', ({ wallS }) => wallS),
    storeCpuOfRestic: ratio('store', ({ cpuS }) => cpuS),
    repositoryOfRestic: plain.repositoryBytes / restic.repositoryBytes,
    restoreWallOfRestic: ratio('restore', ({ wallS }) => wallS),
    incrementWallOfRestic: ratio('increment', ({ wallS }) => wallS),
    peakMiB: Math.max(...peaks.map(({ peakMiB }) => peakMiB)),
  }
  return Object.fromEntries(Object.entries(limits['repository-write']).map(([what, limit]) =>
    [what, [measured[what] ?? NaN, limit]]))
}
