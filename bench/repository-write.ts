/**
 * A full backup and a restore of the reference image, ours beside restic's, in one run.
 * `tools/node bench/repository-write.ts [--mib 1024] [--reps 3] [--dir /tmp]`
 * restic 0.14 does not read back what it sealed; newer ones do. Ours is measured both ways.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { folderBytes, measure, median, row, type Cost, type Measured } from './measure.ts'
import { writeReferenceImage } from './reference-image.ts'

const { values } = parseArgs({ options: {
  mib: { type: 'string', default: '1024' },
  reps: { type: 'string', default: '3' },
  dir: { type: 'string', default: tmpdir() },
  seed: { type: 'string', default: '1' },
} })
const sizeBytes = Number(values.mib) * 1024 * 1024
const folder = mkdtempSync(join(values.dir, 'stillpoint-bench-'))
const disk = join(import.meta.dirname, 'repository-disk.ts')
const image = join(folder, 'image')
const out = join(folder, 'out')
const env = {
  RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(folder, 'cache'), HOME: folder,
  NODE_NO_WARNINGS: '1',
}

interface Way {
  readonly name: string
  /** What `restore` needs is kept between the two. */
  store(repo: string): Cost
  restore(repo: string): Cost
}

const restic: Way = {
  name: 'restic',
  store: (repo) => measure('restic', ['-r', repo, 'backup', image], env),
  restore: (repo) => measure('restic', ['-r', repo, 'restore', 'latest', '-t', out], env),
}

function ours(name: string, ...flags: readonly string[]): Way {
  const run = (...args: readonly string[]): Measured =>
    measure(process.execPath, [disk, ...args, ...flags], env)
  let treeId = ''
  return {
    name,
    store: (repo) => {
      const measured = run('store', repo, image)
      treeId = measured.stdout.trim()
      return measured
    },
    restore: (repo) => run('restore', repo, treeId, String(sizeBytes), out),
  }
}

const ways = [restic, ours('ours, not verifying', '--no-verify'), ours('ours, verifying')]
const stored = new Map<Way, Cost[]>(ways.map((way) => [way, []]))
const restored = new Map<Way, Cost[]>(ways.map((way) => [way, []]))
const repoBytes = new Map<Way, number>()

try {
  await writeReferenceImage(image, sizeBytes, Number(values.seed))
  for (let rep = 0; rep < Number(values.reps); rep++) {
    for (const way of ways) {
      const repo = join(folder, 'repo')
      execFileSync('restic', ['-r', repo, 'init'], { env: { ...process.env, ...env } })
      stored.get(way)?.push(way.store(repo))
      repoBytes.set(way, folderBytes(repo))
      restored.get(way)?.push(way.restore(repo))
      if (way !== restic) execFileSync('cmp', [image, out])
      for (const path of [repo, out, join(folder, 'cache')]) {
        rmSync(path, { recursive: true, force: true })
      }
    }
  }
  report()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function report(): void {
  console.log(`${values.mib} MiB, medians of ${values.reps}          wall s   CPU s RSS MiB`)
  for (const [title, costs] of [['store', stored], ['restore', restored]] as const) {
    const theirs = median(costs.get(restic) ?? [])
    const theirBytes = repoBytes.get(restic) ?? NaN
    for (const way of ways) {
      const cost = median(costs.get(way) ?? [])
      const bytes = repoBytes.get(way) ?? NaN
      const size = `repository ${(bytes / 2 ** 20).toFixed(0)} MiB`
      const notes = [
        `wall ${(cost.wallS / theirs.wallS).toFixed(2)} ×`,
        `CPU ${(cost.cpuS / theirs.cpuS).toFixed(2)} ×`,
        title === 'store'
          ? `${size}, ${(bytes / theirBytes).toFixed(3)} ×`
          : `${(Number(values.mib) / cost.wallS).toFixed(0)} MiB/s`,
      ]
      console.log(row(`${title} ${way.name}`, cost, notes.join(', ')))
    }
  }
}
