import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { processMark } from './process-mark.ts'
import { socketIn, sweepWorkingFolders, workingFolder } from './working-folder.ts'

const GONE = processMark(2 ** 22 + 1, undefined, () => '1')
const BEFORE_BOOT = `${GONE.slice(0, 8)}${GONE.slice(8, 12) === '0000' ? '1111' : '0000'}${
  processMark().slice(12)}`
const ANOTHER_HOST = `${GONE[0] === '0' ? '1' : '0'}${GONE.slice(1)}`

/** The system's folder for work is one of the test's own meanwhile. */
async function ownTemporary(t: TestContext): Promise<string> {
  const before = process.env['TMPDIR']
  const path = await mkdtemp(join(tmpdir(), 'sp-'))
  process.env['TMPDIR'] = path
  t.after(async () => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
    await rm(path, { recursive: true, force: true })
  })
  return path
}

test('only folders whose process is known to be gone are swept', { skip: !existsSync('/proc') },
  async (t) => {
    const own = await ownTemporary(t)
    await using mine = await workingFolder('vddk')
    const left = [`stillpoint-vddk-${GONE}-abcdef`, `stillpoint-vddk-${BEFORE_BOOT}-abcdef`]
    const kept = [`stillpoint-vddk-${ANOTHER_HOST}-abcdef`, 'stillpoint-vddk-abcdef',
      `stillpoint-nbd-${GONE}-abcdef`]
    for (const name of [...left, ...kept]) {
      await mkdir(join(own, name, 'in-it'), { recursive: true })
    }
    const link = `stillpoint-vddk-${GONE}-fedcba`
    await symlink('/', join(own, link))
    assert.deepEqual(new Set(await sweepWorkingFolders('vddk')), new Set(left.map((name) =>
      `removed ${join(own, name)}, which a run that was killed had left`)))
    assert.deepEqual(
      new Set(await readdir(own)), new Set([basename(mine.path), ...kept, link]))
  })

test('a program that serves a folder of a killed run ends, others do not',
  { skip: !existsSync('/proc'), timeout: 60_000 }, async (t) => {
    const own = await ownTemporary(t)
    const left = join(own, `stillpoint-nbd-${GONE}-abcdef`)
    await mkdir(left)
    await writeFile(join(left, 'pid'), '')
    const looksIn = spawn('tail', ['-f', join(left, 'pid')], { stdio: 'ignore' })
    const serves = spawn('tail', ['-f', '/dev/null', socketIn(left)], { stdio: 'ignore' })
    t.after(() => looksIn.kill('SIGKILL'))
    const ended = once(serves, 'exit')
    await Promise.all([looksIn, serves].map((it) => once(it, 'spawn')))
    await using _ = await workingFolder('nbd') // sweeps first
    assert.ok(!existsSync(left))
    assert.deepEqual(await ended, [null, 'SIGKILL'])
    assert.equal(looksIn.exitCode ?? looksIn.signalCode, null)
  })
