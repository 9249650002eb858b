/** Runs a program under GNU time and says what it took. */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Starts Node as the program itself is started. */
export const NODE = join(import.meta.dirname, '..', 'tools', 'node')

export interface Cost {
  readonly wallS: number
  /** User and system time of the program and its children. */
  readonly cpuS: number
  readonly peakMiB: number
}

export interface Measured extends Cost {
  readonly stdout: string
}

/** Runs the program to its end; one that fails ends the benchmark. */
export function measure(
  program: string, args: readonly string[], env: Readonly<Record<string, string>>,
  workingDir?: string,
): Measured {
  const report = join(tmpdir(), `stillpoint-time-${process.pid}`)
  const started = performance.now()
  const { status, stderr, stdout } = spawnSync(
    '/usr/bin/time', ['-o', report, '-f', '%U %S %M', program, ...args],
    {
      env: { ...process.env, ...env }, cwd: workingDir, stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    })
  const wallS = (performance.now() - started) / 1000
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}\n${stderr}`)
  const text = readFileSync(report, 'utf8')
  rmSync(report)
  const [user = 0, system = 0, kib = 0] = text.trim().split(/\s+/).map(Number)
  return { wallS, cpuS: user + system, peakMiB: kib / 1024, stdout }
}

/** The middle of each measure. */
export function median(costs: readonly Cost[]): Cost {
  const middle = (pick: (cost: Cost) => number): number =>
    costs.map(pick).sort((a, b) => a - b)[Math.floor(costs.length / 2)] ?? NaN
  return {
    wallS: middle(({ wallS }) => wallS),
    cpuS: middle(({ cpuS }) => cpuS),
    peakMiB: middle(({ peakMiB }) => peakMiB),
  }
}

/** Bytes of all files below a folder. */
export function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

/** A line of a table. */
export function row(name: string, cost: Cost, note = ''): string {
  const cell = (value: number, digits: number): string => value.toFixed(digits).padStart(8)
  const cells = [cell(cost.wallS, 2), cell(cost.cpuS, 2), cell(cost.peakMiB, 0)]
  return `${name.padEnd(40)}${cells.join('')}  ${note}`
}
