/** A backup on vcsim that is killed at each of its steps: the next one leaves all in order. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import { quietEnvironment } from '../../src/base/program.ts'
import {
  vcsimMissing, VsphereBench, type FrontCall,
} from '../../src/providers/testing/mod.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))
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

suite('a backup that is killed', { skip }, () => {
  for (const [step, isStep] of Object.entries(STEPS)) {
    test(`when ${step}`, async () => {
      let isHeld = false
      let isDead = false
      const before: FrontCall[] = []
      await using bench = await VsphereBench.start(async (call) => {
        if (!isDead && !isHeld && isStep(call, before)) {
          isHeld = true
          while (!isDead) await systemClock.sleep(20, signal)
        }
        before.push(call)
        return false
      })
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
      const victim = start('backup', machine)
      while (!isHeld) {
        assert.equal(victim.exitCode, null, 'the step never came')
        await systemClock.sleep(20, signal)
      }
      victim.kill('SIGKILL')
      await once(victim, 'close')
      isDead = true
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
