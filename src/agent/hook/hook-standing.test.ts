/** Whether qemu-ga and VMware Tools run hooks, by what /proc and their files say. */

import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { hookStandings } from './hook-standing.ts'

const BOOT_S = 1_700_000_000
const DISPATCHER = '/etc/qemu/fsfreeze-hook'
const OURS = '/etc/qemu/fsfreeze-hook.d/stillpoint'
const CONFIG = '/etc/qemu/qemu-ga.conf'

let root = ''
beforeEach(async () => { root = await mkdtemp(join(tmpdir(), 'sp-')) })
afterEach(() => rm(root, { recursive: true }))

function put(path: string, text: string, atS = BOOT_S): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
  utimesSync(join(root, path), atS, atS)
}

/** A process that was started a hundred seconds after the machine. */
function running(pid: number, exe: string, ...args: readonly string[]): void {
  put('/proc/stat', `cpu 1 2\nbtime ${BOOT_S}\nprocesses 3\n`)
  put(`/proc/${pid}/cmdline`, `${['x', ...args].join('\0')}\0`)
  put(`/proc/${pid}/stat`, `${pid} (q) a) S ${'0 '.repeat(18)}10000 0\n`)
  symlinkSync(exe, join(root, `/proc/${pid}/exe`))
}

const states = async (): Promise<readonly string[]> =>
  (await hookStandings(join(root, 'proc'), root)).map(({ tool, state }) => `${tool} ${state}`)

suite('how hooks stand', () => {
  test('nothing runs that could run any', async () => {
    assert.deepEqual(await states(), [])
    running(7, '/usr/bin/other', '-F')
    assert.deepEqual(await states(), [])
  })

  const qemu: readonly (readonly [string, readonly string[], Readonly<Record<string, string>>,
    string])[] = [
    ['as Debian starts it', [], { [DISPATCHER]: '', [OURS]: '' }, 'ignored'],
    ['with -F', ['-F'], { [DISPATCHER]: '', [OURS]: '' }, 'on'],
    ['with -F and no hook of ours', ['-F'], { [DISPATCHER]: 'exit 0' }, 'not-installed'],
    ['with the long option', ['--fsfreeze-hook'], { [OURS]: '' }, 'on'],
    ['with a dispatcher elsewhere', ['-F/etc/qemu-ga/fsfreeze-hook'],
      { '/etc/qemu-ga/fsfreeze-hook.d/stillpoint': '' }, 'on'],
    ['with a hook of the operator that runs ours', ['--fsfreeze-hook=/opt/hook'],
      { '/opt/hook': 'stillpoint-agent hook $1' }, 'on'],
    ['turned on in its configuration', [],
      { [OURS]: '', [CONFIG]: `[general]\n fsfreeze-hook = ${DISPATCHER} \n` }, 'on'],
    ['with a configuration elsewhere', ['-c', '/opt/conf'],
      { [OURS]: '', '/opt/conf': `fsfreeze-hook=${DISPATCHER}` }, 'on'],
    ['with a configuration that comments it out', [],
      { [OURS]: '', [CONFIG]: `#fsfreeze-hook = ${DISPATCHER}\n` }, 'ignored'],
  ]
  for (const [what, args, files, state] of qemu) {
    test(`qemu-ga ${what}: ${state}`, async () => {
      running(7, '/usr/sbin/qemu-ga', ...args)
      for (const [path, text] of Object.entries(files)) put(path, text)
      assert.deepEqual(await states(), [`qemu-ga ${state}`])
    })
  }

  test('a configuration younger than the process counts from its next start', async () => {
    running(7, '/usr/sbin/qemu-ga (deleted)')
    put(OURS, '')
    put(CONFIG, `fsfreeze-hook=${DISPATCHER}`, BOOT_S + 101)
    assert.deepEqual(await states(), ['qemu-ga restart'])
    put(CONFIG, `fsfreeze-hook=${DISPATCHER}`, BOOT_S + 99)
    assert.deepEqual(await states(), ['qemu-ga on'])
  })

  test('VMware Tools run every script of their folder', async () => {
    running(7, '/usr/bin/vmtoolsd')
    assert.deepEqual(await states(), ['vmware-tools not-installed'])
    put('/etc/vmware-tools/backupScripts.d/stillpoint', '')
    assert.deepEqual(await states(), ['vmware-tools on'])
  })
})
