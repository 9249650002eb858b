/** The program on vcsim, govmomi's vCenter simulator: what is there, and what a backup would be. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { quietEnvironment } from '../../src/base/program.ts'
import {
  temporaryFolder, Vcsim, vcsimMissing, type TemporaryFolder,
} from '../../src/providers/testing/mod.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))
const skip = vcsimMissing() ?? false

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

suite('the program on vcsim', { skip }, () => {
  let folder: TemporaryFolder
  let sim: Vcsim
  let on: string

  before(async () => {
    folder = await temporaryFolder()
    await writeFile(join(folder.path, 'password'), 'secret\n')
    sim = await Vcsim.start('-username', 'admin', '-password', 'secret')
    on = `vsphere:${sim.url},user=admin,password-file=password`
    on += `,fingerprint=${await sim.fingerprint()}`
  })
  after(async () => {
    await sim?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })

  function run(...args: readonly string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const child = spawn(PROGRAM, args, {
        cwd: folder.path, stdio: ['ignore', 'pipe', 'pipe'], env: quietEnvironment() })
      let [stdout, stderr] = ['', '']
      child.stdout.on('data', (data: Buffer) => { stdout += data.toString() })
      child.stderr.on('data', (data: Buffer) => { stderr += data.toString() })
      child.on('error', reject)
      child.on('close', (code) => { resolve({ code, stdout, stderr }) })
    })
  }

  test('a server that is not trusted is told with its fingerprint, and what to do', async () => {
    const { code, stdout, stderr } = await run(
      'machines', '--on', `vsphere:${sim.url},user=admin,password-file=password`)
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^error: the certificate of 127\.0\.0\.1:\d+ is not trusted .*fingerprint/)
    assert.match(stderr, /^ {4}do: Compare it .*pin it \(fingerprint\)\.$/m)
  })

  test('machines are listed, each with its power, its Tools and its disks', async () => {
    const { code, stdout } = await run('machines', '--on', on)
    assert.equal(code, 0)
    assert.match(stdout,
      /^DC0_C0_RP0_VM0 +vsphere +running +does not answer +scsi0-0 (1\.0 MiB|10 GiB)$/m)
    assert.equal(stdout.match(/^DC0_.*[MG]iB$/mg)?.length, 4)
  })

  test('doctor says how Tools stand and what a backup would be, touching nothing', async () => {
    const { code, stdout, stderr } = await run('doctor', 'DC0_H0_VM0', '--on', on)
    assert.deepEqual([code, stderr], [0, ''])
    for (const line of [
      /^DC0_H0_VM0 on vsphere$/m, /^ {2}held by {2}nobody: the platform could not quiesce/m,
      /^ {2}VMware Tools +never installed, so that nothing can be held still$/m,
      /^ {2}controllers +scsi0 with \d+ free places$/m, /^ {2}snapshots +none$/m,
      /^ {2}privileges +all there$/m, /^a backup now would be: crash/m,
    ]) assert.match(stdout, line)
  })

  test('a configuration names the server once, and its machines by name', async () => {
    await writeFile(join(folder.path, 'stillpoint.yaml'), [
      'platforms:', '  vc:', '    type: vsphere', `    url: ${sim.url}`, '    user: admin',
      '    passwordFile: password', `    fingerprint: ${on.slice(-64)}`,
      'machines:', '  DC0_H0_VM0: { platform: vc, require: filesystem }', ''].join('\n'))
    const config = ['--config', 'stillpoint.yaml']
    const weak = await run('doctor', 'DC0_H0_VM0', ...config, '--json')
    assert.equal(weak.code, 3)
    const summary = JSON.parse(weak.stdout) as {
      grade: string; remarks: { name: string; advice: string | null }[] }
    assert.equal(summary.grade, 'crash')
    const tools = summary.remarks.find(({ name }) => name === 'VMware Tools')
    assert.match(tools?.advice ?? '', /^Install/)
    assert.equal((await run('doctor', 'vc/DC0_H0_VM1', ...config)).code, 0)
    const gone = await run('doctor', 'vc/DC0_H0_VM9', ...config)
    assert.match(gone.stderr, /^error: there is no machine DC0_H0_VM9 .*\(machine-not-found\)/)
  })

  test('a wrong password is a fault with advice, and shown nowhere', async () => {
    await writeFile(join(folder.path, 'wrong'), 'not this one\n')
    const { code, stderr } = await run(
      'machines', '--on', on.replace('password-file=password', 'password-file=wrong'), '-v')
    assert.equal(code, 1)
    assert.match(stderr, /refused the login of admin .*\(platform-refused\)/)
    assert.match(stderr, /do: Check user and password file\./)
    assert.doesNotMatch(stderr, /not this one|at .*\.ts:/)
  })
})
