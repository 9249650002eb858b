/** Backups and restores on vcsim, killed at each step: nothing is lost, nor left for long. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { quietEnvironment } from '../../src/base/program.ts'
import {
  vcsimMissing, VsphereBench, type FrontCall,
} from '../../src/providers/testing/mod.ts'
import { PROGRAM } from '../system/program.ts'

const skip = vcsimMissing() ?? false
const MIB = 2 ** 20
const { signal } = new AbortController()

type IsStep = (call: FrontCall, before: readonly FrontCall[]) => boolean

/** Each is held until the program is dead, then passed on: vcsim does what was asked of it. */
const STEPS: Readonly<Record<string, IsStep>> = {
  'it switches tracking on': ({ body }) => body.includes('<changeTrackingEnabled>true<'),
  'the first snapshot is asked for': ({ method }) => method === 'CreateSnapshot_Task',
  'the first snapshot is removed': ({ method }) => method === 'RemoveSnapshot_Task',
  'the snapshot is asked for': ({ method }, before) => method === 'CreateSnapshot_Task' &&
    before.some((call) => call.method === 'RemoveSnapshot_Task'),
  'the snapshot is waited for': ({ method }, before) => method === 'WaitForUpdatesEx' &&
    before.filter((call) => call.method === 'CreateSnapshot_Task').length === 2,
  'the snapshot is looked at': ({ body }) => body.includes('config.hardware<'),
  'the disk is read': ({ path }) => path.startsWith('/folder/'),
  'the snapshot is removed': ({ method }, before) => method === 'RemoveSnapshot_Task' &&
    before.some(({ path }) => path.startsWith('/folder/')),
  'it logs out': ({ method }) => method === 'Logout',
}

/** Holds the call of a step until the program that made it is dead, then passes it on. */
class Victim {
  isHeld = false
  isDead = false
  readonly #isStep: IsStep
  readonly #before: FrontCall[] = []

  constructor(isStep: IsStep) {
    this.#isStep = isStep
  }

  async meet(call: FrontCall): Promise<false> {
    if (!this.isDead && !this.isHeld && this.#isStep(call, this.#before)) {
      this.isHeld = true
      while (!this.isDead) await systemClock.sleep(20, signal)
    }
    this.#before.push(call)
    return false
  }

  async kill(program: ChildProcess): Promise<void> {
    const closed = once(program, 'close')
    while (!this.isHeld) {
      assert.equal(program.exitCode, null, 'the step never came')
      await systemClock.sleep(20, signal)
    }
    program.kill('SIGKILL')
    await closed
    this.isDead = true
  }
}

suite('a backup that is killed', { skip }, () => {
  for (const [step, isStep] of Object.entries(STEPS)) {
    test(`when ${step}`, async () => {
      const victim = new Victim(isStep)
      await using bench = await VsphereBench.start((call) => victim.meet(call))
      const { folder, options, machine } = bench
      await bench.fillDisk(new Uint8Array(MIB).fill(7))
      await bench.stage({
        'capability.changeTrackingSupported': '<value xsi:type="xsd:boolean">true</value>' })
      await writeFile(join(folder, 'stillpoint.yaml'), [
        'repository: { path: repo, passwordFile: password }', 'evidence: { key: key }',
        'platforms:', '  vc:', '    type: vsphere', `    url: ${options.url}`, '    user: u',
        '    passwordFile: password', '    stateDir: state',
        `    fingerprint: ${options.fingerprint ?? ''}`,
        'machines:', `  ${machine}: { platform: vc }`, ''].join('\n'))
      const start = (...args: readonly string[]) => spawn(PROGRAM, args, {
        cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], env: quietEnvironment() })
      const [made] = await once(start('init'), 'close') as [number | null]
      assert.equal(made, 0)
      await victim.kill(start('backup', machine))
      // What had been asked for reaches vcsim now, when nobody waits for it any more.
      await systemClock.sleep(1_000, signal)
      const next = start('backup', machine)
      let stderr = ''
      next.stderr?.on('data', (data: Buffer) => { stderr += data.toString() })
      const [code] = await once(next, 'close') as [number | null]
      assert.equal(code, 0, stderr)
      assert.deepEqual((await bench.read()).snapshots, [])
    })
  }
})

const NAME = 'db1'
const RESTORE_STEPS: Readonly<Record<string, IsStep>> = {
  'the machine is made': ({ method }) => method === 'CreateVM_Task',
  'its disk is written': ({ path, headers }) =>
    path.startsWith('/folder/') && Number(headers['content-length']) > 0,
  'the old one is renamed': ({ body }) => body.includes(`<name>${NAME} (replaced)</name>`),
  'the new one is named': ({ method, body }) =>
    method === 'ReconfigVM_Task' && body.includes(`<name>${NAME}</name>`),
  'the old one is deleted': ({ method }) => method === 'Destroy_Task',
}

suite('a restore that replaces a machine and is killed', { skip }, () => {
  for (const [step, isStep] of Object.entries(RESTORE_STEPS)) {
    test(`when ${step}`, async () => {
      const victim = new Victim(isStep)
      victim.isDead = true // nobody is to be killed yet
      await using bench = await VsphereBench.start((call) => victim.meet(call))
      const { folder, options, machine } = bench
      const content = Buffer.alloc(MIB, 7)
      await bench.fillDisk(content)
      await writeFile(join(folder, 'stillpoint.yaml'), [
        'repository: { path: repo, passwordFile: password }', 'evidence: { key: key }',
        'platforms:', '  vc:', '    type: vsphere', `    url: ${options.url}`, '    user: u',
        '    passwordFile: password', '    cluster: DC0_C0', '    stateDir: state',
        `    fingerprint: ${options.fingerprint ?? ''}`,
        'machines:', `  ${machine}: { platform: vc }`, ''].join('\n'))
      const start = (...args: readonly string[]) => spawn(PROGRAM, args, {
        cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], env: quietEnvironment() })
      const run = async (...args: readonly string[]): Promise<number | null> =>
        (await once(start(...args), 'close') as [number | null])[0]
      const restore = ['restore', 'latest', '--as', `vc/${NAME}`, '--replace']
      assert.deepEqual([await run('init'), await run('backup', machine), await run(...restore)],
        [0, 0, 0])
      const old = await bench.idOf(NAME)
      victim.isDead = false
      await victim.kill(start(...restore))
      await systemClock.sleep(1_000, signal)
      // What there was before is there, or what was restored: under the name, or as told.
      const left = (await bench.names()).filter((name) => name.startsWith(NAME))
      const whole = left.filter((name) => !name.includes('unfinished'))
      assert.ok(whole.length >= 1, left.join())
      for (const name of whole) {
        assert.ok((await bench.idOf(name)) === old || step.includes('new') ||
          step.includes('deleted'), name)
        assert.ok(Buffer.compare(await bench.diskOf(name), content) === 0, name)
      }
    })
  }
})
