/** `stillpoint backup` of a machine of libvirt, killed at each step. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../../src/base/clock.ts'
import { PROGRAM } from '../program.ts'
import { newRepository, PASSWORD, withRepository } from '../rig.ts'
import type { Shared } from './contract.ts'
import { arm, heard, makeRelay, type HeardLine, type VirshStep } from './relay-virsh.ts'
import { leftOvers, moreRows, trackedPoints, type Libvirt } from './rig.ts'

const LIMITS = { timeout: 600_000 }
/** From the later of the kill and the agent's answer to the thaw's being issued, at most. */
const PROMISED_MS = 2_000

export interface Step extends Partial<VirshStep> {
  readonly name: string
  /** Killed by the test when the program has printed this; `both`: its guardian before it. */
  readonly printed?: string
}

/** The ones that differ most; the long tests take all. */
export const FEW_KILLS =
  ['after the commit', 'the guardian, frozen', 'both, frozen and captured']

const STEPS: readonly Step[] = [
  { name: 'before the freeze', where: 'in', text: 'checkpoint-list', whom: 'requestor' },
  { name: 'while the freeze is pending', where: 'in', text: 'guest-fsfreeze-freeze',
    whom: 'requestor' },
  { name: 'frozen', where: 'out', text: '{"return":2}', whom: 'requestor' },
  { name: 'after the commit', where: 'out', text: 'Backup started', whom: 'requestor' },
  { name: 'as the thaw is issued', where: 'in', text: 'guest-fsfreeze-thaw', whom: 'requestor' },
  { name: 'in capture', printed: '"phase":"reading"' },
  { name: 'the guardian, frozen', where: 'out', text: '{"return":2}', whom: 'guardian' },
  { name: 'both, frozen and captured', where: 'out', text: 'Backup started', whom: 'both' },
]

export const KILLS = STEPS.map(({ name }) => name)

/** A machine, and the program to back it up with. */
export interface Scene {
  readonly libvirt: Libvirt
  readonly guest: { readonly name: string }
  readonly folder: string
  readonly repositoryPath: string
}

export interface Ended {
  readonly code: number | null
  readonly output: string
}

/** `kills` are names of `KILLS`. */
export function libvirtKilled(start: () => Promise<Shared>, kills: readonly string[]): void {
  suite('killed at any step', () => {
    test('a run leaves a guest that works, and the next one nothing else', LIMITS, async (t) => {
      const { libvirt, guest } = await start()
      const scene = await makeScene(t, { libvirt, guest }, 'relay')
      const repositoryId = await withRepository(scene.repositoryPath, t, async ({ id }) => id)
      const first = await run(t, scene)
      assert.equal(first.code, 0, first.output)
      for (const step of STEPS.filter(({ name }) => kills.includes(name))) {
        await t.test(step.name, async (t) => {
          const killed = await run(t, scene, step)
          if (step.whom === 'guardian') assert.doesNotMatch(killed.output, /"grade":"filesystem"/)
          else assert.equal(killed.code, null, killed.output)
          if (step.whom === 'both') {
            const left = await leftOvers(libvirt, guest)
            assert.ok(left.includes('a job') && left.some((what) => /\.hold/.test(what)))
          } else {
            await moreRows(guest)
            checkThaw(t, step, await heard(scene.folder))
            // The guardian of a dead requestor ends the job, soon.
            while ((await leftOvers(libvirt, guest)).includes('a job')) {
              await clock.sleep(100, t.signal)
            }
          }
          const next = await run(t, scene)
          assert.equal(next.code, 0, next.output)
          assert.match(next.output, /"grade":"filesystem"/)
          assert.match(next.output, /"mode":"incremental"/)
          await moreRows(guest)
          assert.deepEqual(await leftOvers(libvirt, guest), [])
          const pointId = /"point":"([0-9a-f-]{36})"/.exec(next.output)?.[1]
          assert.deepEqual(await trackedPoints(libvirt, guest, repositoryId), [pointId])
        })
      }
    })
  })
}

/**
 * From the later of the kill and the answer to the freeze, the thaw is issued in time; by another
 * guardian, which has to be started first, without a promise of when.
 */
function checkThaw(t: TestContext, step: Step, lines: readonly HeardLine[]): void {
  const at = (where: string, text: string): number =>
    lines.find((line) => line.where === where && line.line.includes(text))?.atMs ?? NaN
  const killedMs = at('kill', '')
  const frozeMs = at('in', 'guest-fsfreeze-freeze')
  const thawMs = at('in', 'guest-fsfreeze-thaw')
  if (Number.isNaN(frozeMs) || Number.isNaN(killedMs)) return
  const answeredMs = lines.find((line) =>
    line.where === 'out' && line.atMs >= frozeMs && line.line.includes('"return"'))?.atMs ?? 0
  const issuedMs = thawMs - Math.max(killedMs, answeredMs)
  t.diagnostic(`the thaw was issued after ${issuedMs} ms`)
  const isLate = issuedMs >= PROMISED_MS && step.whom !== 'guardian'
  assert.ok(!isLate, `the thaw was issued only after ${issuedMs} ms`)
}

/** `name` is that of a folder to be made, `scratchDir` of one that is there. */
export async function makeScene(
  t: TestContext, shared: Pick<Scene, 'libvirt' | 'guest'>, name: string, scratchDir?: string,
): Promise<Scene> {
  const { libvirt, guest } = shared
  const folder = join(libvirt.folder, name)
  await mkdir(folder)
  await makeRelay(folder)
  await writeFile(join(folder, 'stillpoint.yaml'), `
platforms:
  kvm:
    type: libvirt
    uri: '${libvirt.uri}'
    socketDir: ${libvirt.folder}
    runDir: ${libvirt.runDir}
${scratchDir === undefined ? '' : `    scratchDir: ${scratchDir}\n`}machines:
  ${guest.name}: { platform: kvm, limits: { holdMs: 10000 } }
`)
  return { ...shared, folder, repositoryPath: await newRepository(t) }
}

/** Backs the machine up, and kills somebody at the step, if one is given. */
export function run(t: TestContext, scene: Scene, step?: Step): Promise<Ended> {
  return runVerb(t, scene, 'backup', step)
}

export async function runVerb(
  t: TestContext, scene: Scene, verb: 'backup' | 'recover', step?: Step): Promise<Ended> {
  const { folder, guest, repositoryPath } = scene
  const { where, text, whom } = step ?? {}
  await arm(folder, where === undefined || text === undefined || whom === undefined
    ? undefined : { where, text, whom })
  const child = spawn(PROGRAM,
    [verb, guest.name, '--json', '--config', join(folder, 'stillpoint.yaml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${folder}:${process.env['PATH']}`,
        RESTIC_REPOSITORY: repositoryPath, RESTIC_PASSWORD: PASSWORD } })
  await writeFile(join(folder, 'requestor'), String(child.pid))
  t.signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString()
      if (step?.printed === undefined || !output.includes(step.printed)) return
      if (whom === 'both' && child.exitCode === null && child.signalCode === null) {
        process.kill(Number(readFileSync(join(folder, 'guardian'), 'utf8')), 'SIGKILL')
      }
      child.kill('SIGKILL')
    })
  }
  const code = await new Promise<number | null>((resolve) => { child.once('exit', resolve) })
  return { code, output }
}
