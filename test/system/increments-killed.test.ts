/** The program killed anywhere in an increment: the next one is right, and nothing is left. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { watch } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock as clock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { RestorePoint } from '../../src/catalog/mod.ts'
import { assertRestores, BareMachine, basesOf } from './bare-machine.ts'
import { newRepository, PASSWORD, pointsOf, testFolder, withRepository } from './rig.ts'

const LIMITS = { timeout: 240_000 }
const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))

/** When a run is killed: so long after it said what it does, or when a file of a kind appears. */
type Moment =
  | { readonly phase: 'preparing' | 'reading' | 'sealing' | 'releasing'; readonly delayMs: number }
  | { readonly file: 'index' | 'snapshots' }

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Runs `stillpoint backup`, and kills it at the moment, if one is given. */
async function runProgramBackup(
  t: TestContext, machine: BareMachine, repositoryPath: string, moment?: Moment): Promise<Ended> {
  const child = spawn(PROGRAM, ['backup', '--on', `qemu:qmp=${machine.qmpSocket}`,
    '--require', 'crash', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, RESTIC_REPOSITORY: repositoryPath, RESTIC_PASSWORD: PASSWORD } })
  const kill = (): void => { child.kill('SIGKILL') }
  using watching = new DisposableStack()
  if (moment !== undefined && 'file' in moment) {
    const watcher = watching.adopt(
      watch(join(repositoryPath, moment.file)), (watcher) => watcher.close())
    watcher.on('change', (_, name) => { if (/^[0-9a-f]{64}$/.test(String(name))) kill() })
  }
  let output = ''
  let isDue = false
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString()
    if (moment === undefined || 'file' in moment || isDue) return
    isDue = output.includes(`"phase":"${moment.phase}"`)
    if (isDue) watching.use(clock.after(moment.delayMs, kill))
  })
  child.stderr.on('data', (text: Buffer) => { output += text.toString() })
  t.signal.addEventListener('abort', kill, { once: true })
  const code = await new Promise<number | null>((resolve) => { child.once('close', resolve) })
  return { code, output }
}

async function lastPoint(t: TestContext, repositoryPath: string): Promise<RestorePoint> {
  const point = (await pointsOf(repositoryPath, t)).at(-1)
  assert.ok(point?.state === 'readable')
  return point
}

const dice = seededRandom(7)
const upTo = (limitMs: number): number => (dice(1)[0] ?? 0) % limitMs

const moments: readonly Moment[] = [
  { phase: 'preparing', delayMs: 100 + upTo(200) },
  ...Array.from({ length: 3 }, () => ({ phase: 'reading', delayMs: upTo(120) } as const)),
  { phase: 'sealing', delayMs: upTo(20) },
  { file: 'index' },
  { file: 'snapshots' },
  { phase: 'releasing', delayMs: 0 },
]

test('after a kill anywhere the next increment is right, and one bitmap stays', LIMITS,
  async (t) => {
    const machine = await BareMachine.start(t)
    const repositoryPath = await newRepository(t)
    const repositoryId = await withRepository(repositoryPath, t, async ({ id }) => id)
    const copies = await testFolder(t)
    await machine.disturb(1, 8)
    const first = await runProgramBackup(t, machine, repositoryPath)
    assert.equal(first.code, 0, first.output)
    let betweenInstantAndRelease = 0
    for (const [round, moment] of moments.entries()) {
      await machine.disturb(10 + round, 8)
      const killed = await runProgramBackup(t, machine, repositoryPath, moment)
      const newest = await lastPoint(t, repositoryPath)
      const left = await machine.bitmaps(repositoryId)
      await machine.disturb(50 + round, 4)

      const next = await runProgramBackup(t, machine, repositoryPath)
      assert.equal(next.code, 0, `${JSON.stringify(moment)}: ${next.output}`)
      await machine.copyDisks(copies)
      const point = await lastPoint(t, repositoryPath)
      t.diagnostic(`${JSON.stringify(moment)} ${killed.code ?? 'killed'} ${left.length} bitmaps`)
      if (killed.code === null && left.length === 4) betweenInstantAndRelease++
      assert.deepEqual(basesOf(point), [`vda ${newest.pointId}`, `vdb ${newest.pointId}`])
      await assertRestores(t, repositoryPath, point.pointId, copies)
      assert.deepEqual(await machine.bitmaps(repositoryId),
        [`vda ${point.pointId}`, `vdb ${point.pointId}`])
      assert.deepEqual(await machine.qemu.leavings(), [])
    }
    assert.ok(betweenInstantAndRelease >= 4, 'hardly any kill came at the moment meant for it')
  })
